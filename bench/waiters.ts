/**
 * How long after a fill are those answered who waited for it on another instance? With notices, and without them (by
 * asking again now and then), as a ratio to a round trip to the same Redis, measured in the same rounds.
 *
 *   npm run bench:waiters
 */
import { Cache } from '../src/cache/cache.ts';
import { systemClock } from '../src/cache/clock.ts';
import type { RedisStore } from '../src/redis/store.ts';
import { MemoryOutbox } from '../test/harness/engine.ts';
import { startRedis } from '../test/harness/redis-server.ts';
import { openRedisStore, type StoreOptions, trusted } from '../test/harness/redis-store.ts';

const rounds = 300;
/** What a load may take: the longer, the rarer does one that asks by itself ask. */
const loadMs = [5, 50, 200];

const server = await startRedis({ ownProcess: true });
const opened: RedisStore[] = [];

async function open(options: StoreOptions = {}): Promise<{ cache: Cache; store: RedisStore }> {
  const store = openRedisStore(server, options);
  opened.push(store);
  await trusted(store);
  const cache = new Cache(store, new MemoryOutbox(), systemClock, {
    leaseMs: 5_000,
    fenceMs: 30_000,
    withoutStore: 'accept',
    memoryBytes: 1_000_000,
    auditShare: 0,
    sweepMs: 60_000,
  });
  return { cache, store };
}

/** Milliseconds from the moment the loader has its answer to the one at which the waiter has. */
async function wait(loader: Cache, waiter: Cache, key: string, ms: number): Promise<number> {
  let filledAt = 0;
  const loaded = { value: Buffer.from('v'), meta: '', ttlMs: 60_000 };
  const hasLease = Promise.withResolvers<void>();
  const loading = loader
    .read(key, async () => {
      hasLease.resolve();
      await systemClock.sleep(ms);
      return loaded;
    })
    .then(() => {
      filledAt = performance.now();
    });
  await hasLease.promise;
  await waiter.read(key, async () => {
    throw new Error('the waiter loaded by itself');
  });
  const answeredAt = performance.now();
  await loading;
  return answeredAt - filledAt;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

function show(name: string, times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const [median, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  return `${name.padEnd(26)} median ${median.toFixed(2).padStart(7)} ms   p99 ${p99.toFixed(2).padStart(7)} ms`;
}

const loader = await open();
const waiters = { 'with notices': await open(), 'asking now and then': await open({ subscribe: () => () => {} }) };
for (const ms of loadMs) {
  const pings: number[] = [];
  const times: Record<string, number[]> = {};
  for (let round = 0; round < (ms > 100 ? rounds / 5 : rounds); round += 1) {
    for (const [name, waiter] of Object.entries(waiters)) {
      const list = (times[name] ??= []);
      list.push(await wait(loader.cache, waiter.cache, `k:${ms}:${name}:${round}`, ms));
    }
    const began = performance.now();
    await loader.store.ping();
    pings.push(performance.now() - began);
  }
  console.log(`load of ${ms} ms`);
  console.log(`  ${show('a round trip (PING)', pings)}`);
  for (const [name, list] of Object.entries(times)) console.log(`  ${show(name, list)}`);
}
for (const store of opened) await store.close();
await server.stop();
