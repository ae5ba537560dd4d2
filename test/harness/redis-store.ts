import { systemClock } from '../../src/cache/clock.ts';
import { connector, type RedisServerOptions } from '../../src/redis/connection.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/redis/store.ts';
import { subscriber } from '../../src/redis/subscription.ts';
import { eventually } from './eventually.ts';

export type StoreOptions = Partial<RedisStoreOptions> & { readonly connectTimeoutMs?: number };

/** A store on a real server, connected, with deadlines that a busy machine keeps. */
export function openRedisStore(
  { host, port, db, password, sentinels, master }: RedisServerOptions,
  { connectTimeoutMs = 5_000, ...more }: StoreOptions = {},
): RedisStore {
  const given = Object.entries({ host, port, db, password, sentinels, master }).filter(
    ([, value]) => value !== undefined,
  );
  const connection = { server: Object.fromEntries(given), connectTimeoutMs };
  const store = new RedisStore({
    openLink: connector(connection),
    subscribe: subscriber(connection),
    clock: systemClock,
    timeoutMs: 5_000,
    bulkTimeoutMs: 5_000,
    fenceMs: 30_000,
    recover: async () => undefined,
    barrier: async () => undefined,
    origin: () => 'database',
    ...more,
  });
  store.connect();
  return store;
}

export function trusted(store: RedisStore): Promise<void> {
  return eventually(async () => store.downReason === undefined);
}
