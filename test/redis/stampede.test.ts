import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cache } from '../../src/cache/cache.ts';
import { systemClock } from '../../src/cache/clock.ts';
import type { Loaded } from '../../src/cache/read-through.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { MemoryOutbox } from '../harness/engine.ts';
import { eventually } from '../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { openRedisStore } from '../harness/redis-store.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';

/** Of each instance, small enough to be reached. */
const memoryBytes = 1_000_000;

/** Three instances of the engine on one real Redis, and an origin that counts how often it is asked. */
describe('a stampede on three instances', () => {
  let leaks: LeakCheck;
  let server: RedisServer;
  let instances: { store: RedisStore; cache: Cache }[];

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startRedis();
    instances = Array.from({ length: 3 }, () => openInstance(server));
    await eventually(async () => instances.every(({ store }) => store.downReason === undefined));
  });
  afterAll(async () => {
    for (const { cache, store } of instances) {
      await cache.close();
      await store.close();
    }
    await server.stop();
    await leaks.check();
  });

  /** The instance that request number `count` comes to. */
  const cacheOf = (count: number): Cache => {
    const instance = instances[count % instances.length];
    if (instance === undefined) throw new RangeError('no instance');
    return instance.cache;
  };

  test('10,000 requests for one cold key are one load', async () => {
    let loads = 0;
    const load = async (): Promise<Loaded> => {
      loads += 1;
      await systemClock.sleep(100);
      return { value: Buffer.from('v'), meta: '', ttlMs: 60_000 };
    };
    const answers = await Promise.all(Array.from({ length: 10_000 }, (_, count) => cacheOf(count).read('cold', load)));
    expect(loads).toBe(1);
    expect(new Set(answers.map(({ value }) => value.toString()))).toEqual(new Set(['v']));
  });

  test('1,000 cold keys, each asked for on every instance at once, are one load each', async () => {
    const loads = new Map<string, number>();
    const keys = Array.from({ length: 1_000 }, (_, index) => `cold:${index}`);
    const read = (key: string, count: number): Promise<unknown> =>
      cacheOf(count).read(key, async () => {
        loads.set(key, (loads.get(key) ?? 0) + 1);
        await systemClock.sleep(20);
        return { value: Buffer.from(key), meta: '', ttlMs: 60_000 };
      });
    await Promise.all(keys.flatMap((key) => [read(key, 0), read(key, 1), read(key, 2)]));
    expect(loads.size).toBe(1_000);
    expect(Math.max(...loads.values())).toBe(1);
  });

  test('ids that do not exist cost one load each and a bounded memory, however many are asked for, however often', async () => {
    let loads = 0;
    const ids = 20_000;
    const ask = (id: number): Promise<unknown> =>
      cacheOf(id).read(`absent:${id}`, async () => {
        loads += 1;
        return { value: Buffer.from('null'), meta: '', ttlMs: 60_000 };
      });
    for (let round = 0; round < 2; round += 1) {
      for (let first = 0; first < ids; first += 1_000) {
        await Promise.all(Array.from({ length: 1_000 }, (_, index) => ask(first + index)));
      }
    }
    expect(loads).toBe(ids);
    for (const { cache } of instances) {
      expect(cache.memory.bytes).toBeLessThanOrEqual(memoryBytes);
      // The bound was reached, so this is about the bound.
      expect(cache.memory.bytes).toBeGreaterThan(memoryBytes / 2);
    }
  });

  test('while one key is written all the time, no answer is older than its request, and loads stay few', async () => {
    let committed = 0;
    let acknowledged = 0;
    let loads = 0;
    const stop = new AbortController();
    const load = async (): Promise<Loaded> => {
      loads += 1;
      const value = Buffer.from(String(committed));
      await systemClock.sleep(2);
      return { value, meta: '', ttlMs: 60_000 };
    };
    const write = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const mine = committed + 1;
        await cacheOf(mine).write(async (beforeCommit) => {
          await beforeCommit(['busy'], async () => undefined);
          await systemClock.sleep(1);
          committed = mine;
        });
        acknowledged = mine;
        await systemClock.sleep(2);
      }
    };
    let reads = 0;
    const stale: string[] = [];
    const reader = async (count: number): Promise<void> => {
      for (let round = 0; round < 200; round += 1) {
        const floor = acknowledged;
        const { value } = await cacheOf(count + round).read('busy', load);
        reads += 1;
        if (Number(value.toString()) < floor) stale.push(`${value.toString()} after ${floor}`);
      }
    };
    const writing = write();
    await Promise.all(Array.from({ length: 50 }, (_, count) => reader(count)));
    stop.abort();
    await writing;
    expect(stale).toEqual([]);
    expect(reads).toBe(10_000);
    expect(acknowledged).toBeGreaterThan(20);
    // Three instances can each load while a write is under way, and one of them once it is over: few for each write.
    expect(loads).toBeLessThan(acknowledged * 8 + 10);
  });
});

function openInstance({ host, port, db }: RedisServer): { store: RedisStore; cache: Cache } {
  const outbox = new MemoryOutbox();
  const store: RedisStore = openRedisStore({ host, port, db }, { recover: () => cache.sweep() });
  const cache = new Cache(store, outbox, systemClock, {
    leaseMs: 5_000,
    fenceMs: 30_000,
    withoutStore: 'accept',
    memoryBytes,
    auditShare: 0,
    sweepMs: 1_000,
  });
  return { store, cache };
}
