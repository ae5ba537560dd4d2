import type { Key } from './key.ts';

/**
 * What is to be expected of the store, so that nobody asks it in vain. A forecast that fails costs a question or saves none:
 * whether there is a value says `acquire`, and going past the store is always right.
 */
export class Forecast {
  /** Share of the latest reads that the store had nothing for, from 0 to 1; the older, the less they count. */
  #missShare = 0;
  /** What is known of a key whose readers go the whole way now. */
  readonly #hints = new Map<Key, Hint>();

  learn(found: 'hit' | 'miss'): void {
    this.#missShare += ((found === 'miss' ? 1 : 0) - this.#missShare) / countedReads;
  }

  /** Most of what was read lately was not there: to ask for the lease at once costs more only where there is a value. */
  get expectsMiss(): boolean {
    return this.#missShare > expectedMisses;
  }

  note(key: Key, hint: Hint): void {
    // Those that nobody has come for: a request that was given up.
    if (this.#hints.size >= mostHints) this.#hints.clear();
    this.#hints.set(key, hint);
  }

  /** Once. */
  take(key: Key): Hint | undefined {
    const hint = this.#hints.get(key);
    if (hint !== undefined) this.#hints.delete(key);
    return hint;
  }
}

/** The store has nothing; or it did not answer. */
export type Hint = 'absent' | 'unanswered';

const expectedMisses = 0.75;
/** About so many of the latest reads make up the share of misses. */
const countedReads = 32;
const mostHints = 1_000;
