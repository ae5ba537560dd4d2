import type { Audit } from './audit.ts';
import { cacheChannel, publish, type BypassReason } from './channels.ts';
import type { Clock } from './clock.ts';
import type { Key } from './key.ts';
import type { MemoryTier } from './memory-tier.ts';
import { isAbsent } from './negative.ts';
import { isRefreshDue } from './refresh-ahead.ts';
import { SingleFlight } from './single-flight.ts';
import { StoreUnavailable, type Acquired, type CacheStore, type Entry } from './store.ts';

/**
 * The read path: `docs/consistency.md`, "Read".
 *
 * One flight per key goes through these states, on behalf of every request that boarded it before it took off:
 *
 *   validate -> hit         this process holds bytes, and the store says that their version is still the current one
 *   validate -> read        it holds none, or others are current
 *   read     -> hit         the store has the value
 *   read     -> acquire     it has not: ask for the right to load
 *   validate -> acquire     most of what was read lately was not there: `acquire` tells of a value as well, and costs more
 *                           than `read` only where there is one
 *   acquire  -> hit         someone filled meanwhile
 *   acquire  -> load+fill   the lease is ours
 *   acquire  -> wait        another instance has the lease: ask again when it is given back, or now and then
 *   acquire  -> bypass      a write is committing: load, and don't fill
 *   wait     -> bypass      past the bound
 *   any      -> bypass      the store cannot be reached
 *   hit      -> refresh     now and then, near the expiry: see `refresh-ahead.ts`
 *
 * Nothing here joins work that began before the request arrived, so each answer holds at one instant between the
 * arrival and the answer.
 */
export class ReadThrough {
  readonly #store: CacheStore;
  readonly #memory: MemoryTier;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #options: ReadThroughOptions;
  readonly #flights: SingleFlight<Landing>;
  /** The keys that this process loads anew in the background. */
  readonly #refreshing = new Set<Key>();
  /** Share of the latest reads that the store had nothing for, from 0 to 1; the older, the less they count. */
  #missShare = 0;

  constructor(store: CacheStore, memory: MemoryTier, audit: Audit, clock: Clock, options: ReadThroughOptions) {
    this.#audit = audit;
    this.#store = store;
    this.#memory = memory;
    this.#clock = clock;
    this.#options = options;
    this.#flights = new SingleFlight<Landing>(clock);
  }

  /**
   * Reads `key` through the cache. Rejects with what `load` rejects with; an unreachable store is no error.
   * `load` must read committed data, and must not have begun before it is called.
   */
  async read(key: Key, load: Load): Promise<Answer> {
    const { landed, leads } = this.#flights.fly(key, () => this.#fly(key, load));
    const { value, meta, outcome } = await landed;
    return { value, meta, outcome, collapsed: !leads };
  }

  async #fly(key: Key, load: Load): Promise<Landing> {
    try {
      const held = await this.#lookUp(key, load);
      return held ?? (await this.#acquireAndLoad(key, load));
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      return await this.#bypass(key, load, 'store-unavailable');
    }
  }

  /** Validate, then read. `null` on a miss. */
  async #lookUp(key: Key, load: Load): Promise<Landing | null> {
    const askedAt = this.#clock.now();
    const held = this.#memory.get(key, askedAt);
    if (held !== undefined && (await this.#store.validate(key)) === held.version) {
      if (cacheChannel.hasSubscribers) publish({ type: 'hit', key, tier: 'memory', negative: isAbsent(held) });
      const ttlMs = Math.max(0, held.expiresAt - this.#clock.now());
      this.#refreshWhenDue(key, ttlMs, held.loadMs, load);
      this.#audit.consider(key, held, load);
      return { value: held.value, meta: held.meta, outcome: { kind: 'hit', ttlMs } };
    }
    if (this.#missShare > expectedMisses) return null;
    const readAt = this.#clock.now();
    const entry = await this.#store.read(key);
    if (entry === null) return null;
    this.#learn('hit');
    return this.#hit(key, entry, readAt, load);
  }

  #learn(found: 'hit' | 'miss'): void {
    this.#missShare += ((found === 'miss' ? 1 : 0) - this.#missShare) / countedReads;
  }

  #hit(key: Key, entry: Entry, askedAt: number, load: Load): Landing {
    this.#refreshWhenDue(key, entry.ttlMs, entry.loadMs, load);
    this.#audit.consider(key, entry, load);
    this.#memory.keep(key, entry, askedAt);
    if (cacheChannel.hasSubscribers) publish({ type: 'hit', key, tier: 'store', negative: isAbsent(entry) });
    return { value: entry.value, meta: entry.meta, outcome: { kind: 'hit', ttlMs: entry.ttlMs } };
  }

  /** Refresh-ahead: in the background, through the same lease and fill, while everyone keeps hitting. */
  #refreshWhenDue(key: Key, ttlMs: number, loadMs: number, load: Load): void {
    if (this.#refreshing.has(key) || !isRefreshDue(ttlMs, loadMs, this.#clock.random())) return;
    this.#refreshing.add(key);
    this.#refresh(key, load)
      // Nobody waits for it, and the entry is good until it expires.
      .catch(() => undefined)
      .finally(() => this.#refreshing.delete(key));
  }

  async #refresh(key: Key, load: Load): Promise<void> {
    const acquired = await this.#store.acquire(key, this.#options.leaseMs, true);
    if (acquired.kind !== 'lease') return;
    publish({ type: 'refresh', key });
    await this.#loadAndFill(key, acquired.token, load);
  }

  async #acquireAndLoad(key: Key, load: Load): Promise<Landing> {
    const began = this.#clock.now();
    const giveUpAt = began + this.#options.leaseMs;
    for (let attempt = 0; ; attempt += 1) {
      const askedAt = this.#clock.now();
      const acquired = await this.#store.acquire(key, this.#options.leaseMs);
      if (acquired.kind !== 'wait') {
        if (attempt > 0) publish({ type: 'wait', key, waitedMs: askedAt - began });
        return await this.#settle(key, acquired, load, askedAt);
      }
      const pauseMs = Math.min(firstPollMs * 1.5 ** attempt, longestPollMs, acquired.remainingMs);
      try {
        if (askedAt + pauseMs >= giveUpAt) return await this.#bypass(key, load, 'wait-expired');
        await Promise.race([acquired.notice.heard, this.#clock.sleep(pauseMs)]);
      } finally {
        acquired.notice.close();
      }
    }
  }

  async #settle(key: Key, acquired: Settled, load: Load, askedAt: number): Promise<Landing> {
    this.#learn(acquired.kind === 'hit' ? 'hit' : 'miss');
    switch (acquired.kind) {
      case 'hit':
        return this.#hit(key, acquired.entry, askedAt, load);
      case 'bypass':
        return await this.#bypass(key, load, 'fenced');
      case 'lease':
        if (cacheChannel.hasSubscribers) publish({ type: 'miss', key });
        return await this.#loadAndFill(key, acquired.token, load);
    }
  }

  async #loadAndFill(key: Key, token: string, load: Load): Promise<Landing> {
    const began = this.#clock.now();
    let loaded: Loaded;
    try {
      loaded = await load();
    } catch (error) {
      // The lease is only a courtesy to others; its deadline frees it should this fail too.
      await this.#store.surrender(key, token).catch(() => undefined);
      throw error;
    }
    const stored = await this.#fill(key, token, loaded, Math.ceil(this.#clock.now() - began));
    return { value: loaded.value, meta: loaded.meta, outcome: { kind: 'loaded', stored } };
  }

  /** Whether the value was stored. A value that was not is still a right answer for those who waited for it. */
  async #fill(key: Key, token: string, loaded: Loaded, loadMs: number): Promise<boolean> {
    const ttlMs = Math.ceil(loaded.ttlMs * (1 - this.#clock.random() * ttlJitter));
    const askedAt = this.#clock.now();
    try {
      const filled = await this.#store.fill(key, token, { value: loaded.value, meta: loaded.meta, ttlMs, loadMs });
      if (!filled.stored) {
        publish({ type: 'fill-rejected', key, reason: filled.reason });
        return false;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      publish({ type: 'fill-rejected', key, reason: 'store-unavailable' });
      return false;
    }
    this.#memory.keep(key, { version: token, value: loaded.value, meta: loaded.meta, ttlMs, loadMs }, askedAt);
    if (cacheChannel.hasSubscribers) {
      publish({ type: 'fill', key, bytes: loaded.value.length, loadMs, negative: isAbsent(loaded) });
    }
    return true;
  }

  async #bypass(key: Key, load: Load, reason: BypassReason): Promise<Landing> {
    if (cacheChannel.hasSubscribers) publish({ type: 'bypass', key, reason });
    const loaded = await load();
    return { value: loaded.value, meta: loaded.meta, outcome: { kind: 'bypass', reason } };
  }
}

export interface ReadThroughOptions {
  /** How long a loader may keep others waiting, in milliseconds. */
  readonly leaseMs: number;
}

/** Loads the value of one key from the origin, as committed at some instant after the call. */
export type Load = () => Promise<Loaded>;

export interface Loaded {
  readonly value: Buffer;
  /** Kept beside the value and handed back with it; see `Entry.meta`. */
  readonly meta: string;
  /** How long the value may be served, in milliseconds; jitter may shorten it by up to 10 %. */
  readonly ttlMs: number;
}

export interface Answer {
  readonly value: Buffer;
  readonly meta: string;
  readonly outcome: Outcome;
  /** Another request's work gave this answer. */
  readonly collapsed: boolean;
}

export type Outcome =
  | { readonly kind: 'hit'; readonly ttlMs: number }
  | { readonly kind: 'loaded'; readonly stored: boolean }
  | { readonly kind: 'bypass'; readonly reason: BypassReason };

type Settled = Exclude<Acquired, { kind: 'wait' }>;
type Landing = Omit<Answer, 'collapsed'>;

const expectedMisses = 0.75;
/** About so many of the latest reads make up the share of misses. */
const countedReads = 32;
/** Entries that were filled together must not expire together. */
const ttlJitter = 0.1;
/** Notices wake those who wait; they ask by themselves for the case that one was lost. */
const firstPollMs = 10;
const longestPollMs = 100;
