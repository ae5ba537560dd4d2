import type { Clock } from '../cache/clock.ts';
import { publish } from './channels.ts';
import { type ChangeSource, type ChangeStream, type Position, placeOf } from './change-source.ts';

/**
 * Notices a stream that has fallen silent: a connection into a black hole, a server that was stopped, a reader that is dead.
 * None of these is an error to anyone. Now and then the server is asked, on another connection, where its log ends; a stream
 * that waits for changes must get there within `stallMs`.
 */
export class StallWatch {
  readonly #options: StallWatchOptions;
  readonly #stop: () => void;
  #isWaiting = false;
  #end: Position | undefined;
  #reached: string;
  #movedAt: number;
  #answeredAt: number;
  #isAsking = false;
  /** Ends of the log that the reader has not come to yet, and when the server was asked for them. */
  readonly #ahead: { readonly end: string; readonly askedAt: number }[] = [];
  /** Why the stream was given up. */
  reason: string | undefined;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    const { clock, heartbeatMs, stream } = options;
    this.#movedAt = clock.now();
    this.#answeredAt = clock.now();
    this.#reached = placeOf(stream.reached);
    this.#stop = clock.every(heartbeatMs, () => this.#beat());
  }

  /** Says whether somebody waits for the stream: while changes take effect, nobody does. */
  waits(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#movedAt = this.#options.clock.now();
  }

  stop(): void {
    this.#stop();
  }

  #beat(): void {
    const { clock, heartbeatMs, stallMs, stream } = this.#options;
    const now = clock.now();
    const here = placeOf(stream.reached);
    this.#tellLag(here, now);
    const isBehind = this.#end !== undefined && this.#isWaiting && here < placeOf(this.#end);
    if (here !== this.#reached || !isBehind) this.#movedAt = now;
    this.#reached = here;
    if (now - this.#movedAt >= stallMs) this.#giveUp('the server is further on, and the reader hears nothing of it');
    else if (now - this.#answeredAt >= stallMs + heartbeatMs) this.#giveUp('the server does not answer');
    else void this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const askedAt = this.#options.clock.now();
    try {
      this.#end = await this.#options.source.end();
      this.#answeredAt = this.#options.clock.now();
      if (this.#ahead.length < mostAhead) this.#ahead.push({ end: placeOf(this.#end), askedAt });
    } catch {
      // One that goes on not answering is given up.
    } finally {
      this.#isAsking = false;
    }
  }

  /** The lag is how long ago the log ended where the reader is. */
  #tellLag(here: string, now: number): void {
    const notReached = this.#ahead.findIndex(({ end }) => here < end);
    this.#ahead.splice(0, notReached === -1 ? this.#ahead.length : notReached);
    publish({ type: 'lag', ms: now - (this.#ahead[0]?.askedAt ?? now) });
  }

  #giveUp(reason: string): void {
    if (this.reason !== undefined) return;
    this.reason = reason;
    this.#options.stalled(reason);
  }
}

/** With one a second, a reader that is hours behind is still told of. */
const mostAhead = 10_000;

export interface StallWatchOptions {
  readonly stream: ChangeStream;
  readonly source: Pick<ChangeSource, 'end'>;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly stallMs: number;
  readonly stalled: (reason: string) => void;
}
