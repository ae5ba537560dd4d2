import { systemClock } from '../../src/cache/clock.ts';
import type { CacheStore, Fill } from '../../src/cache/store.ts';
import type { RedisAddress } from '../../src/config.ts';
import { reachRedis } from '../../src/redis/reach.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/redis/store.ts';
import { eventually } from './eventually.ts';

export type StoreOptions = Partial<RedisStoreOptions> & { readonly connectTimeoutMs?: number };

/** A server, or what else `RedisAddress` knows. */
type Where =
  | RedisAddress
  | { readonly host: string; readonly port: number; readonly db?: number; readonly password?: string };

/** A store on real servers, connecting, with deadlines that a busy machine keeps. */
export function openRedisStore(where: Where, { connectTimeoutMs = 5_000, ...more }: StoreOptions = {}): RedisStore {
  const store = new RedisStore({
    ...reachRedis('kind' in where ? where : addressOf(where), connectTimeoutMs),
    clock: systemClock,
    timeoutMs: 5_000,
    bulkTimeoutMs: 5_000,
    fenceMs: 30_000,
    recover: async () => undefined,
    barrier: async () => true,
    origin: () => 'database',
    ...more,
  });
  store.connect();
  return store;
}

function addressOf({ host, port, db, password }: Exclude<Where, RedisAddress>): RedisAddress {
  return {
    kind: 'single',
    host,
    port,
    ...(db === undefined ? {} : { db }),
    ...(password === undefined ? {} : { password }),
  };
}

export function trusted(store: RedisStore): Promise<void> {
  return eventually(async () => store.downReason === undefined);
}

/** Loads a value into the store, as a reader that missed does; resolves with its version. */
export async function put(store: CacheStore, key: string, text: string, more: Partial<Fill> = {}): Promise<string> {
  const acquired = await store.acquire(key, 5_000);
  if (acquired.kind !== 'lease') throw new Error(`expected the lease of ${key}, got ${acquired.kind}`);
  const value = { value: Buffer.from(text), meta: '', ttlMs: 60_000, loadMs: 1, ...more };
  const filled = await store.fill(key, acquired.token, value);
  if (!filled.stored) throw new Error(`not stored: ${filled.reason}`);
  return acquired.token;
}
