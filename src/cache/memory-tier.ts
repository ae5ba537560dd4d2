import { LRUCache } from 'lru-cache';
import type { Key } from './key.ts';
import type { Bytes } from './rope.ts';
import type { Entry } from './store.ts';

/**
 * The in-process tier (L1): values this process holds, each under the version it was read with. An entry here says
 * nothing by itself; it is served only after the store has just confirmed that its version is still the current one.
 *
 * A large value that is evicted, or too large to be kept at all, is found again as long as someone else uses its bytes: a
 * client that is slow to take them, or a list that was put together of them. So many who read the same large value at
 * different times share one copy.
 */
export class MemoryTier {
  readonly #maxBytes: number;
  readonly #entries: LRUCache<Key, HeldEntry>;
  readonly #elsewhere = new Map<Key, Elsewhere>();
  /** How many may be remembered until those that are gone are forgotten. */
  #mostElsewhere = leastElsewhere;
  #evictions = 0;

  /** `maxBytes` bounds the sum of the values and of what is kept beside them. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#entries = new LRUCache<Key, HeldEntry>({
      maxSize: maxBytes,
      sizeCalculation: sizeOf,
      dispose: (_held, _key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
      },
    });
  }

  /** The entry held for `key`, unless its time to live has run out by `now`. */
  get(key: Key, now: number): HeldEntry | undefined {
    const held = this.#entries.get(key) ?? this.#find(key);
    if (held !== undefined && held.expiresAt <= now) {
      this.#entries.delete(key);
      this.#elsewhere.delete(key);
      return undefined;
    }
    return held;
  }

  /** Keeps what was asked of the store at `askedAt`; the time the answer took is counted against its time to live. */
  keep(key: Key, entry: Entry<Bytes>, askedAt: number): HeldEntry {
    const held = toHeld(key, entry, askedAt + entry.ttlMs);
    this.#entries.set(key, held);
    if (held.value.length >= largeBytes) this.#remember(key, held);
    else this.#elsewhere.delete(key);
    return held;
  }

  /**
   * Counts so many bytes more for `held`, for another form of its value that is kept beside it, and what is made of that (see
   * `mostPreparedBytes`). `false` when the entry is held no more, or would be larger than the bound: then nothing is counted.
   */
  keepBeside(held: HeldEntry, bytes: number): boolean {
    const { key } = held;
    const more = withPrepared(bytes);
    if (this.#entries.peek(key) !== held || sizeOf(held, key) + more > this.#maxBytes) return false;
    held.besideBytes += more;
    // The size of what is there already is not looked at again.
    this.#entries.delete(key);
    this.#entries.set(key, held);
    return true;
  }

  #remember(key: Key, { value, version, meta, loadMs, expiresAt }: HeldEntry): void {
    const rest = { version, meta, loadMs };
    this.#elsewhere.set(key, { rest, expiresAt, value: new WeakRef(value) });
    if (this.#elsewhere.size <= this.#mostElsewhere) return;
    for (const [other, one] of this.#elsewhere) if (one.value.deref() === undefined) this.#elsewhere.delete(other);
    this.#mostElsewhere = Math.max(leastElsewhere, 2 * this.#elsewhere.size);
  }

  #find(key: Key): HeldEntry | undefined {
    const one = this.#elsewhere.get(key);
    const value = one?.value.deref();
    return one === undefined || value === undefined ? undefined : toHeld(key, { ...one.rest, value }, one.expiresAt);
  }

  get bytes(): number {
    return this.#entries.calculatedSize;
  }

  get limitBytes(): number {
    return this.#entries.maxSize;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** How many entries had to make room for others since the start. */
  get evictions(): number {
    return this.#evictions;
  }
}

/** All members by name: spread, they would lie in a second place in memory, which each hit fetches as well. */
function toHeld(key: Key, entry: Omit<Entry<Bytes>, 'ttlMs'>, expiresAt: number): HeldEntry {
  const { version, value, meta, loadMs } = entry;
  return {
    key,
    version,
    value,
    meta,
    loadMs,
    expiresAt,
    prepared: undefined,
    forms: undefined,
    besideBytes: 0,
    question: undefined,
  };
}

function sizeOf({ value, meta, besideBytes }: HeldEntry, key: Key): number {
  return withPrepared(value.length) + besideBytes + meta.length + key.length + entryOverheadBytes;
}

function withPrepared(bytes: number): number {
  return bytes + Math.min(bytes, mostPreparedBytes);
}

export interface HeldEntry extends Omit<Entry<Bytes>, 'ttlMs'> {
  readonly key: Key;
  /** On the clock of `Clock.now`. */
  readonly expiresAt: number;
  /** What the one who sends the value has made of it, once; it goes when the entry goes. See `mostPreparedBytes`. */
  prepared: object | undefined;
  /** Other forms of the value that the one who sends it keeps beside it; they go when the entry goes. */
  forms: object | undefined;
  /** See `MemoryTier.keepBeside`. */
  besideBytes: number;
  /** See `held-reads.ts`. */
  question: object | undefined;
}

interface Elsewhere {
  readonly rest: Omit<Entry<Bytes>, 'value' | 'ttlMs'>;
  readonly expiresAt: number;
  readonly value: WeakRef<Bytes>;
}

const largeBytes = 16 * 1024;
const leastElsewhere = 1_000;

/** The most that is kept in `prepared` of the bytes of a value. It counts against the bound, whether or not it is there. */
export const mostPreparedBytes = 16 * 1024;

/** Roughly what an entry costs beside its bytes: map slot, objects, version, headers. */
const entryOverheadBytes = 1_024;
