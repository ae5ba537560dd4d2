/**
 * Those who wait for a connection of a pool, first come, first served, and how long the next one would: as many turns of a
 * connection as stand before, at what a turn took lately (Little's law), and at least what the first of them has waited by now,
 * since a database that hangs ends no turns.
 */
export class WaitingLine {
  readonly #connections: number;
  readonly #now: () => number;
  /** Since when each waits; the oldest first. */
  readonly #waiting = new Set<{ readonly since: number }>();
  #used = 0;
  #turnMs = 0;

  /** `now` is in milliseconds. */
  constructor(connections: number, now: () => number) {
    this.#connections = connections;
    this.#now = now;
  }

  get used(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** In milliseconds; 0 while a connection is free. */
  get expectedMs(): number {
    // Who is about to get a free connection is among them for a moment.
    const queued = this.#used + this.#waiting.size - this.#connections;
    if (queued <= 0) return 0;
    const [first] = this.#waiting;
    const waited = first === undefined ? 0 : this.#now() - first.since;
    return Math.max(waited, (queued * this.#turnMs) / this.#connections);
  }

  /** Resolves or rejects as `pending` does. */
  async wait<T>(pending: Promise<T>): Promise<T> {
    const wait = { since: this.#now() };
    this.#waiting.add(wait);
    try {
      return await pending;
    } finally {
      this.#waiting.delete(wait);
    }
  }

  /** The turn of a connection: `use` settles when it ends. */
  async take<T>(use: () => Promise<T>): Promise<T> {
    const began = this.#now();
    this.#used += 1;
    try {
      return await use();
    } finally {
      this.#used -= 1;
      this.#turnMs += (this.#now() - began - this.#turnMs) * newest;
    }
  }
}

/** The weight of the turn that ended last, in the moving average. */
const newest = 0.1;
