import type { Answer } from './answer.ts';
import { Attachments } from './attachments.ts';
import type { Audit } from './audit.ts';
import { cacheChannel, publish, type BypassReason } from './channels.ts';
import type { Clock } from './clock.ts';
import type { Composition } from './composition.ts';
import { FastReads } from './fast-reads.ts';
import { Forecast } from './forecast.ts';
import type { FastReader } from './held-reads.ts';
import { type Key, splitKey } from './key.ts';
import type { HeldEntry, MemoryTier } from './memory-tier.ts';
import { isAbsent } from './negative.ts';
import { isRefreshDue } from './refresh-ahead.ts';
import { type Bytes, toBuffer } from './rope.ts';
import { SingleFlight } from './single-flight.ts';
import { StoreUnavailable } from './store.ts';
import type { Acquired, CacheStore, Entry, Position, Since } from './store.ts';
import { asPartOf, fillTrace, readTrace, traced } from './tracing.ts';

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
 *   acquire  -> compose     a version without bytes is current: put them together, and look whether it still is
 *   acquire  -> wait        another instance has the lease: ask again when it is given back, or now and then
 *   acquire  -> bypass      a write is committing: load, and don't fill
 *   wait     -> bypass      past the bound
 *   load, compose -> acquire    what was put together was torn by a write; after some times -> bypass
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
  readonly #fastReads: FastReads;
  readonly #forecast = new Forecast();
  readonly #attachments: Attachments;
  /** The keys that this process loads anew in the background. */
  readonly #refreshing = new Set<Key>();

  constructor(store: CacheStore, memory: MemoryTier, audit: Audit, clock: Clock, options: ReadThroughOptions) {
    this.#audit = audit;
    this.#store = store;
    this.#memory = memory;
    this.#clock = clock;
    this.#options = options;
    this.#attachments = new Attachments(store, clock);
    this.#flights = new SingleFlight<Landing>(clock);
    this.#fastReads = new FastReads({
      store,
      clock,
      memory,
      forecast: this.#forecast,
      confirmed: (key, held, source, requests) => this.#confirmed(key, held, source, requests),
      served: (key, entry, source) => this.#served(key, entry, source),
    });
  }

  /** See `FastReads.read`; `false` also while someone is on the whole way for `key`. */
  readFast(key: Key, source: Source, reader: FastReader): boolean {
    return !this.#flights.has(key) && this.#fastReads.read(key, source, reader);
  }

  /**
   * Reads `key` through the cache. Rejects with what `load` rejects with; an unreachable store is no error.
   * `load` must read committed data, and must not have begun before it is called. With `composition` the value is put
   * together where that costs less.
   */
  read(key: Key, load: Load, composition?: Composition): Promise<Answer> {
    return traced(readTrace, { key }, () => this.#read(key, { load, composition }));
  }

  async #read(key: Key, source: Source): Promise<Answer> {
    const work = asPartOf(() => this.#fly(key, source));
    const { landed, leads } = this.#flights.fly(key, work);
    if (!leads && cacheChannel.hasSubscribers) publish({ type: 'collapsed', key });
    const { value, meta, outcome, held } = await landed;
    return { value, meta, outcome, collapsed: !leads, held };
  }

  /** What is cached, without loading it; `null` when nothing is. Rejects with `StoreUnavailable`. */
  async peek(key: Key): Promise<HeldEntry | null> {
    const askedAt = this.#clock.now();
    const held = this.#memory.get(key, askedAt);
    if (held !== undefined && (await this.#store.validate(key)) === held.version) return held;
    const readAt = this.#clock.now();
    const entry = await this.#store.read(key);
    return entry === null ? null : this.#memory.keep(key, entry, readAt);
  }

  async #fly(key: Key, source: Source): Promise<Landing> {
    try {
      const held = await this.#lookUp(key, source);
      return held ?? (await this.#acquireAndLoad(key, source));
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      return await this.#bypass(key, source, 'store-unavailable');
    }
  }

  /** Validate, then read. `null` on a miss, and where `acquire` is to decide. */
  async #lookUp(key: Key, source: Source): Promise<Landing | null> {
    const hint = this.#forecast.take(key);
    if (hint === 'unanswered') throw new StoreUnavailable('the store did not answer on the short way');
    if (hint === 'absent') return null;
    const askedAt = this.#clock.now();
    const held = this.#memory.get(key, askedAt);
    if (held !== undefined && (await this.#store.validate(key)) === held.version) {
      const ttlMs = this.#confirmed(key, held, source, 1);
      return { value: held.value, meta: held.meta, outcome: { kind: 'hit', ttlMs }, held };
    }
    // What is put together may be too much for one reply: `acquire` tells which it is.
    if (source.composition !== undefined || this.#forecast.expectsMiss) return null;
    const readAt = this.#clock.now();
    const entry = await this.#store.read(key);
    if (entry === null) return null;
    this.#forecast.learn('hit');
    return this.#hit(key, entry, readAt, source);
  }

  /** What a hit in memory entails. Returns its time to live in milliseconds. */
  #confirmed(key: Key, held: HeldEntry, source: Source, requests: number): number {
    if (cacheChannel.hasSubscribers) publish({ type: 'hit', key, tier: 'memory', negative: isAbsent(held), requests });
    const ttlMs = Math.max(0, held.expiresAt - this.#clock.now());
    this.#refreshWhenDue(key, ttlMs, held.loadMs, source);
    this.#audit.consider(key, held, source);
    return ttlMs;
  }

  #served(key: Key, entry: Entry<Bytes>, source: Source): void {
    this.#refreshWhenDue(key, entry.ttlMs, entry.loadMs, source);
    this.#audit.consider(key, entry, source);
  }

  #hit(key: Key, entry: Entry<Bytes>, askedAt: number, source: Source): Landing {
    this.#served(key, entry, source);
    const held = this.#memory.keep(key, entry, askedAt);
    if (cacheChannel.hasSubscribers)
      publish({ type: 'hit', key, tier: 'store', negative: isAbsent(entry), requests: 1 });
    return { value: entry.value, meta: entry.meta, outcome: { kind: 'hit', ttlMs: entry.ttlMs }, held };
  }

  /** Refresh-ahead: in the background, through the same lease and fill, while everyone keeps hitting. */
  #refreshWhenDue(key: Key, ttlMs: number, loadMs: number, source: Source): void {
    if (this.#refreshing.has(key) || !isRefreshDue(ttlMs, loadMs, this.#clock.random())) return;
    this.#refreshing.add(key);
    this.#refresh(key, source)
      // Nobody waits for it, and the entry is good until it expires.
      .catch(() => undefined)
      .finally(() => this.#refreshing.delete(key));
  }

  async #refresh(key: Key, source: Source): Promise<void> {
    const acquired = await this.#store.acquire(key, this.#options.leaseMs, { renew: true });
    if (acquired.kind !== 'lease') return;
    publish({ type: 'refresh', key });
    await this.#loadAndFill(key, acquired, source);
  }

  async #acquireAndLoad(key: Key, source: Source): Promise<Landing> {
    const began = this.#clock.now();
    const giveUpAt = began + this.#options.leaseMs;
    const composes = source.composition !== undefined;
    let torn = 0;
    for (let attempt = 0; ; attempt += 1) {
      const askedAt = this.#clock.now();
      const acquired = await this.#store.acquire(key, this.#options.leaseMs, { composes });
      if (acquired.kind !== 'wait') {
        if (attempt > torn) publish({ type: 'wait', key, waitedMs: askedAt - began });
        const landing = await this.#settle(key, acquired, source, askedAt);
        if (landing !== 'torn') return landing;
        torn += 1;
        if (torn < mostTorn) continue;
        return await this.#bypass(key, source, 'contended');
      }
      const pauseMs = Math.min(firstPollMs * 1.5 ** attempt, longestPollMs, acquired.remainingMs);
      try {
        if (askedAt + pauseMs >= giveUpAt) return await this.#bypass(key, source, 'wait-expired');
        await Promise.race([acquired.notice.heard, this.#clock.sleep(pauseMs)]);
      } finally {
        acquired.notice.close();
      }
    }
  }

  async #settle(key: Key, acquired: Settled, source: Source, askedAt: number): Promise<Landing | 'torn'> {
    this.#forecast.learn(acquired.kind === 'hit' || acquired.kind === 'version' ? 'hit' : 'miss');
    switch (acquired.kind) {
      case 'hit':
        return this.#hit(key, acquired.entry, askedAt, source);
      case 'bypass':
        return await this.#bypass(key, source, 'fenced');
      case 'version':
        return await this.#composeCurrent(key, acquired.entry, source, askedAt);
      case 'lease':
        if (cacheChannel.hasSubscribers) publish({ type: 'miss', key });
        return await this.#loadAndFill(key, acquired, source);
    }
  }

  /** Puts together the bytes of a version that is current, and is so still when that is done. */
  async #composeCurrent(
    key: Key,
    entry: Omit<Entry, 'value'>,
    source: Source,
    askedAt: number,
  ): Promise<Landing | 'torn'> {
    const composed = await source.composition?.compose(entry.meta);
    if (composed === undefined || (await this.#store.validate(key)) !== entry.version) return 'torn';
    if (composed.meta !== entry.meta) {
      // Other bytes than those that the version was given to: someone has changed them without a fence. It is worth nothing.
      await this.#store.release([splitKey(key).name], this.#store.unique());
      return 'torn';
    }
    const { value } = composed;
    const ttlMs = Math.min(entry.ttlMs, composed.ttlMs);
    const landing = this.#hit(key, { ...entry, value, ttlMs }, askedAt, source);
    return composed.fromCache ? landing : { ...landing, outcome: { kind: 'loaded', stored: true } };
  }

  #loadAndFill(key: Key, lease: Lease, source: Source): Promise<Landing | 'torn'> {
    return traced(fillTrace, { key }, () => this.#loadThenFill(key, lease, source));
  }

  async #loadThenFill(key: Key, lease: Lease, { load, composition }: Source): Promise<Landing | 'torn'> {
    const began = this.#clock.now();
    let composed: Loaded | undefined;
    let loaded: Loaded;
    try {
      composed = await composition?.compose(undefined);
      loaded = composed ?? (await load(lease.since));
    } catch (error) {
      // The lease is only a courtesy to others; its deadline frees it should this fail too.
      await this.#store.surrender(key, lease.token).catch(() => undefined);
      throw error;
    }
    const isComposed = composed !== undefined;
    const stored = await this.#fill(key, lease, loaded, { isComposed, loadMs: Math.ceil(this.#clock.now() - began) });
    if (isComposed && !stored) return 'torn';
    return { value: loaded.value, meta: loaded.meta, outcome: { kind: 'loaded', stored } };
  }

  /**
   * Whether the value was stored. One that was not and was loaded whole is still a right answer for those who waited for it.
   * Of a composed value only the version is stored at first: it may be gone by the time that all its bytes are written.
   */
  async #fill(
    key: Key,
    { token, since }: Lease,
    loaded: Loaded,
    { isComposed, loadMs }: { readonly isComposed: boolean; readonly loadMs: number },
  ): Promise<boolean> {
    const jitter = loaded.expiresTogether === true ? 0 : this.#clock.random() * ttlJitter;
    const ttlMs = Math.ceil(loaded.ttlMs * (1 - jitter));
    const askedAt = this.#clock.now();
    const { meta, position } = loaded;
    const value = isComposed ? null : toBuffer(loaded.value);
    const found = position === undefined ? undefined : { since, position };
    try {
      const filled = await this.#store.fill(key, token, { value, meta, ttlMs, loadMs, found });
      if (!filled.stored) {
        publish({ type: 'fill-rejected', key, reason: filled.reason });
        return false;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      publish({ type: 'fill-rejected', key, reason: 'store-unavailable' });
      return false;
    }
    this.#memory.keep(key, { version: token, value: loaded.value, meta, ttlMs, loadMs }, askedAt);
    if (cacheChannel.hasSubscribers) {
      publish({ type: 'fill', key, bytes: value?.length ?? 0, loadMs, negative: isAbsent(loaded) });
    }
    if (isComposed) void this.#attachments.attachWhenQuiet(key, token, loaded.value);
    return true;
  }

  async #bypass(key: Key, { load, composition }: Source, reason: BypassReason): Promise<Landing> {
    if (cacheChannel.hasSubscribers) publish({ type: 'bypass', key, reason });
    const beside = reason === 'store-unavailable' ? undefined : composition?.loadBeside();
    const loaded = await (beside ?? load());
    return { value: loaded.value, meta: loaded.meta, outcome: { kind: 'bypass', reason } };
  }
}

export interface ReadThroughOptions {
  /** How long a loader may keep others waiting, in milliseconds. */
  readonly leaseMs: number;
}

/**
 * Loads the value of one key from the origin, as committed at some instant after the call; with `since`, at one that is no
 * earlier than that. `since` is what came with the lease: no fence was open then.
 */
export type Load = (since?: Since) => Promise<Loaded>;

export interface Loaded {
  readonly value: Bytes;
  /** Kept beside the value and handed back with it; see `Entry.meta`. */
  readonly meta: string;
  /** How long the value may be served, in milliseconds; jitter may shorten it by up to 10 %. */
  readonly ttlMs: number;
  /** Without jitter: it is of use only together with others that were loaded with it. */
  readonly expiresTogether?: boolean;
  /** Where the database stood meanwhile, when `since` did not know. */
  readonly position?: Position | undefined;
}

export interface Source {
  readonly load: Load;
  readonly composition?: Composition | undefined;
}

type Settled = Exclude<Acquired, { kind: 'wait' }>;
type Lease = Extract<Acquired, { kind: 'lease' }>;
type Landing = Omit<Answer, 'collapsed'>;

/** Entries that were filled together must not expire together. */
const ttlJitter = 0.1;
/** A value that is torn so often is loaded beside the writers. */
const mostTorn = 3;
/** Notices wake those who wait; they ask by themselves for the case that one was lost. */
const firstPollMs = 10;
const longestPollMs = 100;
