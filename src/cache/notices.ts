/**
 * Who waits for another instance's load is woken when something ends that lease. A notice may be lost, so those who wait
 * ask again by themselves too.
 */
export class Notices {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Begins to listen for notices about `subject`. Must be closed. */
  listen(subject: string): Notice {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(subject) ?? new Set();
    this.#waiting.set(subject, waiting.add(resolve));
    const close = (): void => {
      waiting.delete(resolve);
      if (waiting.size === 0 && this.#waiting.get(subject) === waiting) this.#waiting.delete(subject);
    };
    return { heard: promise, close };
  }

  /** Wakes all who listen for `subject`. */
  wake(subject: string): void {
    for (const wake of this.#waiting.get(subject) ?? []) wake();
  }
}

export interface Notice {
  /** Resolves at the first notice since `listen`, if one comes. */
  readonly heard: Promise<void>;
  close(): void;
}
