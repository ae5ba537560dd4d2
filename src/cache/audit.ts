import { publish } from './channels.ts';
import type { Clock } from './clock.ts';
import { type Key, splitKey } from './key.ts';
import type { Loaded } from './read-through.ts';
import type { CacheStore, Entry } from './store.ts';

/**
 * The continuous audit: a small sampled share of hits is compared with the database, in the background.
 *
 * A difference counts only if the version that was served is still the current one after the database was read. A write
 * fences before it commits, so whatever the database shows beyond the cached value has already taken that version away;
 * what is left are changes that nobody told the service of, and faults of the protocol. Either is published, and mended by
 * an invalidation. One audit at a time, and at most a hundredth of the time: a large list must not cost the database more
 * than it saves.
 */
export class Audit {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #share: number;
  #notBefore = 0;
  #running: Promise<void> | undefined;

  /** `share` of the hits, from 0 (none) to 1, is considered. */
  constructor(store: CacheStore, clock: Clock, share: number) {
    this.#store = store;
    this.#clock = clock;
    this.#share = share;
  }

  /** Called with each hit; costs next to nothing unless this one is drawn. */
  consider(key: Key, served: Pick<Entry, 'version' | 'value'>, load: () => Promise<Loaded>): void {
    if (this.#clock.random() < 1 - this.#share) return;
    const began = this.#clock.now();
    if (this.#running !== undefined || began < this.#notBefore) return;
    this.#running = this.#compare(key, served, load)
      // A database or a store that is away just now says nothing about the cache.
      .catch(() => undefined)
      .finally(() => {
        this.#notBefore = this.#clock.now() + pauseFactor * (this.#clock.now() - began);
        this.#running = undefined;
      });
  }

  /** Resolves when no comparison is under way. */
  async close(): Promise<void> {
    await this.#running;
  }

  async #compare(key: Key, served: Pick<Entry, 'version' | 'value'>, load: () => Promise<Loaded>): Promise<void> {
    const { value } = await load();
    const differs = !value.equals(served.value) && (await this.#store.validate(key)) === served.version;
    publish({ type: 'audit', key, differs });
    if (differs) await this.#store.release([splitKey(key).name], this.#store.unique());
  }
}

const pauseFactor = 99;
