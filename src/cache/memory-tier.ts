import { LRUCache } from 'lru-cache';
import type { Key } from './key.ts';
import type { Entry } from './store.ts';

/**
 * The in-process tier (L1): values this process holds, each under the version it was read with. An entry here says
 * nothing by itself; it is served only after the store has just confirmed that its version is still the current one.
 */
export class MemoryTier {
  readonly #entries: LRUCache<Key, HeldEntry>;

  /** `maxBytes` bounds the sum of the values and of what is kept beside them. */
  constructor(maxBytes: number) {
    this.#entries = new LRUCache<Key, HeldEntry>({
      maxSize: maxBytes,
      sizeCalculation: (held, key) => held.value.length + held.meta.length + key.length + entryOverheadBytes,
    });
  }

  /** The entry held for `key`, unless its time to live has run out by `now`. */
  get(key: Key, now: number): HeldEntry | undefined {
    const held = this.#entries.get(key);
    if (held !== undefined && held.expiresAt <= now) {
      this.#entries.delete(key);
      return undefined;
    }
    return held;
  }

  /** Keeps what was asked of the store at `askedAt`; the time the answer took is counted against its time to live. */
  keep(key: Key, entry: Entry, askedAt: number): HeldEntry {
    const { ttlMs, ...rest } = entry;
    const held = { ...rest, expiresAt: askedAt + ttlMs };
    this.#entries.set(key, held);
    return held;
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get size(): number {
    return this.#entries.size;
  }
}

export interface HeldEntry extends Omit<Entry, 'ttlMs'> {
  /** On the clock of `Clock.now`. */
  readonly expiresAt: number;
}

/** Roughly what an entry costs beside its bytes: map slot, object, version string. */
const entryOverheadBytes = 256;
