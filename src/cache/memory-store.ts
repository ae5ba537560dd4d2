import { LRUCache } from 'lru-cache';
import { Frontier } from './frontier.ts';
import { type Inspection, type Looked, matcherOf, shownBytes } from './inspection.ts';
import { type Key, type KeyName, splitKey } from './key.ts';
import { Notices } from './notices.ts';
import { type Bytes, toBuffer } from './rope.ts';
import type {
  Acquired,
  AcquireOptions,
  CacheStore,
  Commit,
  Entry,
  Fill,
  Filled,
  Found,
  VersionClaim,
} from './store.ts';

/**
 * The store of the embedded default: the protocol in one process, without a server. Everything happens between two
 * turns of the event loop, so each call is one atomic step by nature. Bounded in bytes, oldest use first.
 */
export class MemoryStore implements CacheStore {
  readonly #slots: LRUCache<Key, Slot>;
  /** Which slots hang on a name; kept in step by the eviction callback. */
  readonly #members = new Map<KeyName, Set<Key>>();
  readonly #fences = new Map<KeyName, Map<string, number>>();
  readonly #frontier = new Frontier();
  readonly #notices = new Notices();
  readonly #now: () => number;
  readonly #runId: string;
  #count = 0;
  #evictions = 0;

  /** `now` gives milliseconds; `runId` is unique to this store's lifetime. */
  constructor(options: { maxBytes: number; now: () => number; runId: string }) {
    this.#now = options.now;
    this.#runId = options.runId;
    this.#slots = new LRUCache<Key, Slot>({
      maxSize: options.maxBytes,
      sizeCalculation: (slot, key) => slotOverheadBytes + key.length + (slot.entry?.value?.length ?? 0),
      dispose: (_slot, key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
        if (reason !== 'set') this.#forget(key);
      },
    });
  }

  async validate(key: Key): Promise<string | null> {
    return this.#current(key)?.version ?? null;
  }

  async confirm(
    claims: readonly VersionClaim[],
    tell: (at: number, isCurrent: boolean | undefined) => void,
  ): Promise<void> {
    for (const [at, { key, version }] of claims.entries()) tell(at, this.#current(key)?.version === version);
  }

  async read(key: Key): Promise<Entry | null> {
    const stored = this.#current(key);
    return stored === undefined ? null : this.#toEntry(stored);
  }

  async readAll(keys: readonly Key[], tell: (at: number, found: Found) => void): Promise<void> {
    for (const [at, key] of keys.entries()) {
      const stored = this.#current(key);
      tell(at, (stored === undefined ? null : this.#toEntry(stored)) ?? 'absent');
    }
  }

  async acquire(key: Key, leaseMs: number, { renew, composes }: AcquireOptions = {}): Promise<Acquired> {
    const stored = this.#current(key);
    if (stored !== undefined && renew !== true) {
      const { version, meta, loadMs, expiresAt } = stored;
      const ttlMs = expiresAt - this.#now();
      if (stored.isComposed && composes === true) return { kind: 'version', entry: { version, meta, loadMs, ttlMs } };
      const entry = this.#toEntry(stored);
      if (entry !== null) return { kind: 'hit', entry };
    }
    if (this.#isFenced(splitKey(key).name)) return { kind: 'bypass' };
    const now = this.#now();
    const lease = this.#slots.get(key)?.lease;
    if (lease !== undefined && lease.deadline > now) {
      return { kind: 'wait', remainingMs: lease.deadline - now, notice: this.#notices.listen(splitKey(key).name) };
    }
    const token = this.unique();
    this.#put(key, { ...(stored === undefined ? {} : { entry: stored }), lease: { token, deadline: now + leaseMs } });
    return { kind: 'lease', token, since: this.#frontier.since };
  }

  async fill(key: Key, token: string, { value, meta, ttlMs, loadMs, found }: Fill): Promise<Filled> {
    if (found !== undefined) this.#frontier.find(found.since, found.position);
    if (this.#isFenced(splitKey(key).name)) return { stored: false, reason: 'fenced' };
    if (this.#slots.get(key)?.lease?.token !== token) return { stored: false, reason: 'lease-lost' };
    this.#put(key, {
      entry: { version: token, value, isComposed: value === null, meta, loadMs, expiresAt: this.#now() + ttlMs },
    });
    this.#notices.wake(splitKey(key).name);
    return { stored: true };
  }

  async attach(key: Key, version: string, value: Bytes): Promise<boolean> {
    const stored = this.#current(key);
    if (stored?.version !== version) return false;
    this.#put(key, { ...this.#slots.get(key), entry: { ...stored, value: toBuffer(value) } });
    return true;
  }

  async surrender(key: Key, token: string): Promise<void> {
    const slot = this.#slots.get(key);
    if (slot?.lease?.token !== token) return;
    if (slot.entry === undefined) this.#slots.delete(key);
    else this.#put(key, { entry: slot.entry });
    this.#notices.wake(splitKey(key).name);
  }

  async fence(names: readonly KeyName[], token: string, fenceMs: number): Promise<void> {
    for (const name of names) {
      this.#clear(name);
      const open = this.#fences.get(name) ?? new Map<string, number>();
      this.#fences.set(name, open.set(token, this.#now() + fenceMs));
    }
  }

  async release(names: readonly KeyName[], token: string, committed: Commit = 'unknown'): Promise<void> {
    for (const name of names) {
      this.#clear(name);
      this.#fences.get(name)?.delete(token);
      this.#isFenced(name);
    }
    this.#frontier.note(committed);
  }

  async releaseAll(prefix: string): Promise<void> {
    const names = [...this.#members.keys()].filter((name) => name.startsWith(prefix));
    await this.release(names, this.unique());
  }

  unique(): string {
    this.#count += 1;
    return `${this.#runId}.${this.#count.toString(36)}`;
  }

  /** For people who want to see what there is. */
  get inspection(): Inspection {
    return {
      find: async (pattern, most) => {
        const matches = matcherOf(pattern);
        const names = [...this.#members.keys()].filter(matches).toSorted();
        return { names: names.slice(0, most), hasMore: names.length > most };
      },
      look: async (key) => this.#look(key),
      usage: async () => ({
        bytes: this.#slots.calculatedSize,
        limitBytes: this.#slots.maxSize,
        evictions: this.#evictions,
        keys: this.#slots.size,
      }),
    };
  }

  #look(key: Key): Looked | null {
    const { name, part } = splitKey(key);
    const now = this.#now();
    const slot = this.#slots.peek(key);
    const fences = this.#isFenced(name) ? (this.#fences.get(name)?.size ?? 0) : 0;
    const parts = [...(this.#members.get(name) ?? [])]
      .map((member) => splitKey(member).part)
      .filter((each) => each !== '');
    if (slot === undefined && fences === 0 && (part !== '' || parts.length === 0)) return null;
    const stored = this.#current(key);
    const leaseMs = (slot?.lease?.deadline ?? 0) - now;
    return {
      version: stored?.version ?? null,
      isCurrent: stored !== undefined,
      isComposed: stored?.value === null,
      meta: stored?.meta ?? '',
      loadMs: stored?.loadMs ?? null,
      ttlMs: stored === undefined ? null : stored.expiresAt - now,
      bytes: stored?.value?.length ?? null,
      value: stored?.value?.subarray(0, shownBytes) ?? null,
      leaseMs: leaseMs > 0 ? leaseMs : null,
      fences,
      parts: part === '' ? parts.toSorted() : [],
    };
  }

  async ping(): Promise<void> {
    // Nothing to reach.
  }

  async close(): Promise<void> {
    this.#slots.clear();
    this.#fences.clear();
  }

  /** How many keys the store holds anything for. */
  get size(): number {
    return this.#slots.size;
  }

  #current(key: Key): StoredEntry | undefined {
    const entry = this.#slots.get(key)?.entry;
    return entry !== undefined && entry.expiresAt > this.#now() ? entry : undefined;
  }

  #toEntry({ version, value, meta, loadMs, expiresAt }: StoredEntry): Entry | null {
    return value === null ? null : { version, value, meta, loadMs, ttlMs: expiresAt - this.#now() };
  }

  /** Whether a fence is open; those past their deadline are forgotten on the way. */
  #isFenced(name: KeyName): boolean {
    const open = this.#fences.get(name);
    if (open === undefined) return false;
    for (const [token, deadline] of open) {
      if (deadline > this.#now()) continue;
      open.delete(token);
      // Its writer died, or does not know whether its COMMIT took effect.
      this.#frontier.note('unknown');
    }
    if (open.size === 0) this.#fences.delete(name);
    return open.size > 0;
  }

  #put(key: Key, slot: Slot): void {
    const { name } = splitKey(key);
    const members = this.#members.get(name) ?? new Set<Key>();
    this.#members.set(name, members.add(key));
    this.#slots.set(key, slot);
    // A value above the bound is not kept at all, and then no eviction callback runs for it.
    if (!this.#slots.has(key)) this.#forget(key);
  }

  #forget(key: Key): void {
    const { name } = splitKey(key);
    const members = this.#members.get(name);
    members?.delete(key);
    if (members?.size === 0) this.#members.delete(name);
  }

  #clear(name: KeyName): void {
    for (const key of this.#members.get(name) ?? []) this.#slots.delete(key);
    this.#notices.wake(name);
  }
}

interface Slot {
  readonly entry?: StoredEntry;
  readonly lease?: { readonly token: string; readonly deadline: number };
}

interface StoredEntry extends Omit<Entry, 'ttlMs' | 'value'> {
  readonly value: Buffer | null;
  /** Was filled without bytes. */
  readonly isComposed: boolean;
  readonly expiresAt: number;
}

/** Map slots, objects and token strings of one key, roughly. */
const slotOverheadBytes = 512;
