import type { Socket } from 'socket.io';
import type { Clock } from '../cache/clock.ts';
import { clientLimits } from './limits.ts';

/** What is on its way to a client: how much of it there is, and an end for a client that does not take it. */
export class Outgoing {
  readonly #connection: Socket['conn'];
  /** Not handed to the transport yet; the transport takes all of it whenever it has sent what it had. */
  #waiting = 0;
  #sending = 0;

  constructor(connection: Socket['conn']) {
    this.#connection = connection;
    connection.on('packetCreate', ({ data }: { data?: unknown }) => {
      this.#waiting += typeof data === 'string' || Buffer.isBuffer(data) ? data.length : 0;
    });
    connection.on('flush', () => {
      this.#sending = this.#waiting;
      this.#waiting = 0;
    });
  }

  /** In characters, which are bytes as a rule. */
  get size(): number {
    return this.#waiting + (this.#connection.transport.writable ? 0 : this.#sending);
  }

  /** Resolves with `true` once half of the bound is free again, with `false` when that takes too long. */
  async hasRoom(clock: Clock): Promise<boolean> {
    const giveUpAt = clock.now() + patienceMs;
    while (this.size > clientLimits.outgoingBytes / 2) {
      if (clock.now() > giveUpAt) return false;
      await clock.sleep(50);
    }
    return true;
  }

  get isTooMuch(): boolean {
    return this.size > clientLimits.outgoingBytes;
  }

  /** Ends the connection without waiting for what is on its way. */
  cut(): void {
    const { transport } = this.#connection;
    this.#connection.close(true);
    // A WebSocket would still wait for all of it to be sent, and then for an answer.
    const webSocket: unknown = Reflect.get(transport, 'socket');
    const terminate: unknown = Reflect.get(Object(webSocket), 'terminate');
    if (typeof terminate === 'function') terminate.call(webSocket);
  }
}

const patienceMs = 10_000;
