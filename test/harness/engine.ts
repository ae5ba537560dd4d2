import { type CacheEvent, cacheChannel } from '../../src/cache/channels.ts';
import { Cache, type CacheOptions } from '../../src/cache/cache.ts';
import type { KeyName } from '../../src/cache/key.ts';
import { MemoryStore } from '../../src/cache/memory-store.ts';
import type { Outbox, Reached } from '../../src/cache/outbox.ts';
import type { Loaded } from '../../src/cache/read-through.ts';
import { type CacheStore, StoreUnavailable } from '../../src/cache/store.ts';
import { ManualClock } from './manual-clock.ts';

/** An outbox that lives in memory: for the engine's own tests; the real one is a table. */
export class MemoryOutbox implements Outbox {
  names: KeyName[] = [];
  /** The store that is in use. */
  inUse: string | undefined;

  async record(names: readonly KeyName[]): Promise<void> {
    this.names.push(...names);
  }

  async sweep(invalidate: (names: readonly KeyName[]) => Promise<Reached>): Promise<number> {
    const before = this.names.length;
    if (before === 0) return 0;
    const { names, run } = await invalidate([...this.names]);
    if (run !== this.inUse) return 0;
    this.names = this.names.filter((name) => !names.includes(name));
    return before - this.names.length;
  }

  async isInUse(run: string): Promise<boolean> {
    return run === this.inUse;
  }
}

/** A way to a store that can be cut, step by step or altogether. */
export class CuttableStore implements CacheStore {
  readonly #store: CacheStore;
  run: string | undefined;
  /** The steps that cannot be reached. */
  cut = new Set<keyof CacheStore>();
  /** The steps that were asked for, in order. */
  readonly asked: string[] = [];

  constructor(store: CacheStore) {
    this.#store = store;
  }

  validate: CacheStore['validate'] = (...args) => this.#pass('validate', () => this.#store.validate(...args));
  confirm: CacheStore['confirm'] = async (claims, tell) => {
    this.asked.push('confirm');
    if (this.cut.has('confirm')) for (const at of claims.keys()) tell(at, undefined);
    else await this.#store.confirm(claims, tell);
  };
  readAll: CacheStore['readAll'] = async (keys, tell) => {
    this.asked.push('readAll');
    if (this.cut.has('readAll')) for (const at of keys.keys()) tell(at, 'unanswered');
    else await this.#store.readAll(keys, tell);
  };
  read: CacheStore['read'] = (...args) => this.#pass('read', () => this.#store.read(...args));
  acquire: CacheStore['acquire'] = (...args) => this.#pass('acquire', () => this.#store.acquire(...args));
  fill: CacheStore['fill'] = (...args) => this.#pass('fill', () => this.#store.fill(...args));
  attach: CacheStore['attach'] = (...args) => this.#pass('attach', () => this.#store.attach(...args));
  surrender: CacheStore['surrender'] = (...args) => this.#pass('surrender', () => this.#store.surrender(...args));
  fence: CacheStore['fence'] = (...args) => this.#pass('fence', () => this.#store.fence(...args));
  release: CacheStore['release'] = (...args) => this.#pass('release', () => this.#store.release(...args));
  releaseAll: CacheStore['releaseAll'] = (prefix) => this.#pass('releaseAll', () => this.#store.releaseAll(prefix));
  ping: CacheStore['ping'] = () => this.#pass('ping', () => this.#store.ping());
  close: CacheStore['close'] = () => this.#store.close();
  unique: CacheStore['unique'] = () => this.#store.unique();

  async #pass<T>(step: keyof CacheStore, run: () => Promise<T>): Promise<T> {
    this.asked.push(step);
    if (this.cut.has(step)) throw new StoreUnavailable(`${step} cannot be reached`);
    return await run();
  }
}

/** An engine over one in-memory store, its clock and its outbox. `beside` opens another instance over the same store. */
export function openEngine(options: Partial<CacheOptions> = {}) {
  const clock = new ManualClock();
  const shared = new MemoryStore({ maxBytes: 10_000_000, now: clock.now, runId: 'run' });
  const outbox = new MemoryOutbox();
  const instance = () => {
    const store = new CuttableStore(shared);
    const cache = new Cache(store, outbox, clock, {
      leaseMs: 1_000,
      fenceMs: 30_000,
      withoutStore: 'accept',
      memoryBytes: 1_000_000,
      auditShare: 0,
      sweepMs: 1_000,
      ...options,
    });
    return { store, cache };
  };
  return { ...instance(), clock, shared, outbox, beside: instance };
}

/** A load that answers `text`, and counts how often it was asked. */
export function counted(text: string | (() => string), more: Partial<Loaded> = {}) {
  const load = async (): Promise<Loaded> => {
    load.count += 1;
    return { value: Buffer.from(typeof text === 'string' ? text : text()), meta: 'm', ttlMs: 60_000, ...more };
  };
  load.count = 0;
  return load;
}

/** Collects what the engine publishes while `run` runs. */
export async function published(run: () => Promise<unknown>): Promise<CacheEvent[]> {
  const events: CacheEvent[] = [];
  const note = (message: unknown): void => void events.push(message as CacheEvent);
  cacheChannel.subscribe(note);
  try {
    await run();
  } finally {
    cacheChannel.unsubscribe(note);
  }
  return events;
}
