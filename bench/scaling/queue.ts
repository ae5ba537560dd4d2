/**
 * A server with some processors and one queue, first come, first served. Arrivals must come in the order of time. With one
 * processor it is what Redis is, with several what a database is.
 */
export class Queue {
  readonly #freeAt: number[];
  #work = 0;

  constructor(processors = 1) {
    this.#freeAt = Array.from({ length: processors }, () => 0);
  }

  /** When work that arrives at `now` is done, in microseconds. */
  serve(now: number, micros: number): number {
    const freeAt = this.#freeAt;
    let first = 0;
    for (let at = 1; at < freeAt.length; at += 1) {
      if ((freeAt[at] ?? 0) < (freeAt[first] ?? 0)) first = at;
    }
    const done = Math.max(now, freeAt[first] ?? 0) + micros;
    freeAt[first] = done;
    this.#work += micros;
    return done;
  }

  /** How long what arrives now has to wait, in microseconds. */
  behind(now: number): number {
    return Math.max(0, Math.min(...this.#freeAt) - now);
  }

  /** Work that has arrived so far, in microseconds of one processor. */
  get work(): number {
    return this.#work;
  }

  get processors(): number {
    return this.#freeAt.length;
  }
}
