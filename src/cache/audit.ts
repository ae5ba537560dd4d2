import { publish } from './channels.ts';
import type { Clock } from './clock.ts';
import type { Composition } from './composition.ts';
import { type Key, splitKey } from './key.ts';
import type { Load, Source } from './read-through.ts';
import { type Bytes, toBuffer } from './rope.ts';
import type { CacheStore } from './store.ts';

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
  consider(key: Key, served: Served, { load, composition }: Source): void {
    if (this.#clock.random() < 1 - this.#share) return;
    const began = this.#clock.now();
    if (this.#running !== undefined || began < this.#notBefore) return;
    this.#running = this.#compare(key, served, load, composition)
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

  async #compare(key: Key, served: Served, load: Load, composition: Composition | undefined): Promise<void> {
    const { value } = await load();
    const differs =
      !toBuffer(value).equals(toBuffer(served.value)) && (await this.#store.validate(key)) === served.version;
    publish({ type: 'audit', key, differs });
    if (!differs) return;
    // What it was put together from is as doubtful, and goes first: or it would be put together from that again.
    const segments = composition?.segmentsOf(served.meta) ?? [];
    await this.#store.release([...segments, splitKey(key).name], this.#store.unique());
  }
}

interface Served {
  readonly version: string;
  readonly value: Bytes;
  readonly meta: string;
}

const pauseFactor = 99;
