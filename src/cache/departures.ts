import type { Clock } from './clock.ts';

/**
 * Sends what is asked of a store together: at the end of a turn of the event loop, and while something is in the air the
 * rest gathers, as in Nagle's algorithm (RFC 896). A command costs both sides as much as ten keys in it, so the busier the
 * server, the less each of them costs. A store that is slow to answer holds up nobody for longer than `longestWaitMs`, or
 * until it has answered.
 */
export class Departures<T> {
  readonly #clock: Pick<Clock, 'now' | 'soon'>;
  readonly #most: number;
  readonly #send: (together: readonly T[]) => Promise<void>;
  #gate: T[] = [];
  #inAir = 0;
  #sentAt = 0;
  #isDeparting = false;

  /** `send` is given up to `most` at once, and must not reject. */
  constructor(clock: Pick<Clock, 'now' | 'soon'>, most: number, send: (together: readonly T[]) => Promise<void>) {
    this.#clock = clock;
    this.#most = most;
    this.#send = send;
  }

  board(item: T): void {
    this.#gate.push(item);
    if (this.#inAir === 0 || this.#clock.now() - this.#sentAt > longestWaitMs) this.#departSoon();
  }

  #departSoon(): void {
    if (this.#isDeparting || this.#gate.length === 0) return;
    this.#isDeparting = true;
    this.#clock.soon(() => {
      this.#isDeparting = false;
      const gate = this.#gate;
      this.#gate = [];
      this.#sentAt = this.#clock.now();
      for (let from = 0; from < gate.length; from += this.#most) {
        this.#inAir += 1;
        const together = gate.length <= this.#most ? gate : gate.slice(from, from + this.#most);
        void this.#send(together).then(() => {
          this.#inAir -= 1;
          this.#departSoon();
        });
      }
    });
  }
}

const longestWaitMs = 1;
