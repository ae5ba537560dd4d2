import type { Socket } from 'node:net';

/** How a proxy treats what passes through it; shared by all its connections, which look at it at every step. */
export type LinkConditions = { delayMs: number; blackHole: boolean };

type Waiting = { readonly bytes: Buffer | 'end'; readonly dueAt: number };

const WAITING_LIMIT_BYTES = 64 * 1024;

/**
 * One direction of a proxied connection: what `from` says, `to` hears `delayMs` later, in order.
 *
 * Bytes wait here only for their time: the source is paused when over 64 KiB wait, when the destination is slow, and
 * for as long as the link is a black hole. Then TCP's own windows fill up and hold the sender back, as they would on a
 * network that swallows packets. A paused source also keeps its end ("FIN") unread.
 */
export class DelayedPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #conditions: LinkConditions;
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #draining = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, conditions: LinkConditions) {
    this.#from = from;
    this.#to = to;
    this.#conditions = conditions;
    from.on('data', (bytes) => this.#arrived(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)));
    from.on('end', () => this.#arrived('end'));
    to.on('drain', () => {
      this.#draining = false;
      this.update();
    });
    this.update();
  }

  /** Looks at the conditions again: to be called whenever they change. */
  update(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#conditions.blackHole) this.#forwardDue();
    const full = this.#waitingBytes >= WAITING_LIMIT_BYTES;
    if (this.#conditions.blackHole || full || this.#draining) this.#from.pause();
    else this.#from.resume();
  }

  /** Forgets what waits. The sockets are the owner's to destroy. */
  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }

  #arrived(bytes: Buffer | 'end'): void {
    this.#waiting.push({ bytes, dueAt: performance.now() + this.#conditions.delayMs });
    if (bytes !== 'end') this.#waitingBytes += bytes.length;
    this.update();
  }

  #forwardDue(): void {
    for (let next = this.#waiting[0]; next !== undefined && !this.#draining; next = this.#waiting[0]) {
      const leftMs = next.dueAt - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.update(), Math.ceil(leftMs));
        return;
      }
      this.#waiting.shift();
      if (next.bytes === 'end') {
        this.#to.end();
      } else {
        this.#waitingBytes -= next.bytes.length;
        this.#draining = !this.#to.write(next.bytes);
      }
    }
  }
}
