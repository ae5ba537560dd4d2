import { cacheChannel, publish } from './channels.ts';
import type { Clock } from './clock.ts';
import type { Forecast } from './forecast.ts';
import { type FastReader, HeldReads } from './held-reads.ts';
import type { Key } from './key.ts';
import type { HeldEntry, MemoryTier } from './memory-tier.ts';
import { isAbsent } from './negative.ts';
import type { Source } from './read-through.ts';
import type { CacheStore, Entry, Found } from './store.ts';
import { StoredReads } from './stored-reads.ts';

/** The short way to a hit: in memory (`HeldReads`), or in the store (`StoredReads`). Whatever is none goes the whole way. */
export class FastReads {
  readonly #parts: FastReadsParts;
  readonly #heldReads: HeldReads;
  readonly #storedReads: StoredReads;

  constructor(parts: FastReadsParts) {
    const { store, clock, forecast, confirmed, served } = parts;
    this.#parts = parts;
    this.#heldReads = new HeldReads(store, clock, {
      confirmed,
      unanswered: (key) => forecast.note(key, 'unanswered'),
    });
    this.#storedReads = new StoredReads(store, clock, ({ key, source }, found, askedAt, requests) => {
      const held = this.#found(key, found, askedAt);
      if (held === undefined || typeof found === 'string') return undefined;
      if (cacheChannel.hasSubscribers) publish({ type: 'hit', key, tier: 'store', negative: false, requests });
      served(key, found, source);
      return held;
    });
  }

  /** `reader` is told soon. `false` when there is nothing under `key` as far as is known, or `acquire` is to decide. */
  read(key: Key, source: Source, reader: FastReader): boolean {
    const { memory, clock, forecast } = this.#parts;
    const held = memory.get(key, clock.now());
    if (held === undefined) {
      if (source.composition !== undefined || forecast.expectsMiss) return false;
      this.#storedReads.ask(key, source, reader);
      return true;
    }
    if (isAbsent(held)) return false;
    this.#heldReads.ask(key, held, source, reader);
    return true;
  }

  /** Returns what is a hit. */
  #found(key: Key, found: Found, askedAt: number): HeldEntry | undefined {
    const { memory, forecast } = this.#parts;
    if (typeof found === 'string') {
      forecast.note(key, found);
      return undefined;
    }
    forecast.learn('hit');
    const held = memory.keep(key, found, askedAt);
    return isAbsent(found) ? undefined : held;
  }
}

interface FastReadsParts {
  readonly store: CacheStore;
  readonly clock: Clock;
  readonly memory: MemoryTier;
  readonly forecast: Forecast;
  /** What a hit in memory entails. Returns its time to live in milliseconds. */
  readonly confirmed: (key: Key, held: HeldEntry, source: Source, requests: number) => number;
  /** What a hit in the store entails. */
  readonly served: (key: Key, entry: Entry, source: Source) => void;
}
