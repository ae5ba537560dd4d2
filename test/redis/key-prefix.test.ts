import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RedisAddress } from '../../src/config.ts';
import { RedisCheckpoint } from '../../src/redis/feed-checkpoint.ts';
import { countNames, inspectKey, sizesOf } from '../../src/redis/inspection.ts';
import { Lookout } from '../../src/redis/lookout.ts';
import { slotOf } from '../../src/redis/slots.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { describeCacheStore } from '../contracts/cache-store.ts';
import { mark } from '../contracts/checkpoint.ts';
import { boundsUnderTest, describeEventLog, event } from '../contracts/event-log.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisCluster, startRedisCluster } from '../harness/redis-cluster.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';

/** Several services in one Redis, each with a prefix of its own before all of its keys. */

const elapse = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms + 20));

describeCacheStore('the Redis store with a prefix of keys', async () => {
  const server = await startRedis({ ownProcess: true });
  const store = openRedisStore({ kind: 'single', host: server.host, port: server.port, prefix: 'shop:' });
  await trusted(store);
  const close = async (): Promise<void> => {
    await store.close();
    await server.stop();
  };
  return { store, elapse, close };
});

describeCacheStore('the Redis store with a prefix of keys on a cluster', async () => {
  const cluster = await startRedisCluster({ replicas: false });
  const store = openRedisStore(clusterAt(cluster, 'shop:'));
  await trusted(store);
  const close = async (): Promise<void> => {
    await store.close();
    await cluster.stop();
  };
  return { store, elapse, close };
});

describeEventLog('the event log with a prefix of keys', async () => {
  const server = await startRedis({ ownProcess: true });
  const store = openRedisStore({ kind: 'single', host: server.host, port: server.port, prefix: 'shop:' });
  const client = new Redis(server.url);
  await trusted(store);
  return {
    log: store.openEventLog(boundsUnderTest),
    // As if they had been appended earlier.
    age: async () => {
      const entries = await client.xrange('shop:energex:events', '-', '+');
      await client.del('shop:energex:events');
      for (const [id, fields] of entries) await client.xadd('shop:energex:events', id, ...fields.slice(0, -1), '1');
    },
    close: async () => {
      await store.close();
      client.disconnect();
      await server.stop();
    },
  };
});

function clusterAt({ masters }: RedisCluster, prefix: string): RedisAddress {
  return { kind: 'cluster', prefix, nodes: masters.map(({ host, port }) => ({ host, port })) };
}

describe.each(['one server', 'a cluster'] as const)('two services in one Redis: %s', (kind) => {
  let leaks: LeakCheck;
  let nodes: readonly RedisServer[];
  let addressOf: (prefix: string) => RedisAddress;
  let stop: () => Promise<void>;
  const stores: RedisStore[] = [];

  beforeAll(async () => {
    leaks = trackLeaks(3_000);
    if (kind === 'a cluster') {
      const cluster = await startRedisCluster({ replicas: false });
      nodes = cluster.masters;
      addressOf = (prefix) => clusterAt(cluster, prefix);
      stop = cluster.stop;
      return;
    }
    const server = await startRedis({ ownProcess: true });
    nodes = [server];
    addressOf = (prefix) => ({ kind: 'single', host: server.host, port: server.port, prefix });
    stop = server.stop;
  }, 60_000);
  afterAll(async () => {
    for (const store of stores) await store.close();
    await stop();
    await leaks.check();
  });

  const open = async (prefix: string): Promise<RedisStore> => {
    const store = openRedisStore(addressOf(prefix));
    stores.push(store);
    await trusted(store);
    return store;
  };

  async function keys(): Promise<string[]> {
    const all = await Promise.all(
      nodes.map(async ({ url }) => {
        const client = new Redis(url);
        const found = await client.keys('*');
        client.disconnect();
        return found;
      }),
    );
    return all.flat().toSorted();
  }

  test('neither sees what the other has, and what is taken away is taken away from one', async () => {
    const [shop, news, plain] = [await open('shop:'), await open('news:'), await open('')];
    const names = ['post:1', 'posts:all', 'post:2'];
    const versions = new Map<RedisStore, string[]>();
    for (const store of [shop, news, plain]) {
      versions.set(
        store,
        await Promise.all(names.map((name) => put(store, name, `${name} of ${stores.indexOf(store)}`))),
      );
    }
    await shop.fence(['post:1'], 'writer', 30_000);
    expect(await shop.acquire('post:1', 1_000)).toEqual({ kind: 'bypass' });
    for (const store of [news, plain]) expect(await store.validate('post:1')).toBe(versions.get(store)?.[0]);
    await shop.release(['post:1'], 'writer');
    await put(shop, 'post:1', 'anew');
    await shop.releaseAll('post');
    for (const name of names) expect(await shop.validate(name)).toBeNull();
    await plain.releaseAll('post');
    for (const name of names) expect(await plain.validate(name)).toBeNull();
    for (const [index, name] of names.entries()) {
      expect((await news.read(name))?.version).toBe(versions.get(news)?.[index]);
      expect((await news.read(name))?.value.toString()).toBe(`${name} of 1`);
    }
    expect((await news.inspection.find('*', 100)).names).toEqual(names.toSorted());
    expect((await shop.inspection.find('*', 100)).names).toEqual([]);
  });

  test('events and checkpoints are their own', async () => {
    const [shop, news] = await Promise.all([open('shop:'), open('news:')]);
    const [log, other] = [shop.openEventLog(boundsUnderTest), news.openEventLog(boundsUnderTest)];
    await log.append([event('of the shop')]);
    const [here, there] = [await log.tail(), await other.tail()];
    expect([here.offset, there.offset]).toEqual([1, 0]);
    expect(there.epoch).not.toBe(here.epoch);
    await new RedisCheckpoint(shop).save(mark);
    expect(await new RedisCheckpoint(shop).load()).toEqual(mark);
    expect(await new RedisCheckpoint(news).load()).toBeNull();
  });

  test('who looks from outside finds the same', async () => {
    const news = await open('news:');
    await put(news, 'post:7', 'seven');
    const lookout = new Lookout(addressOf('news:'), { connectTimeoutMs: 5_000, timeoutMs: 5_000 });
    const others = new Lookout(addressOf('shop:'), { connectTimeoutMs: 5_000, timeoutMs: 5_000 });
    expect((await inspectKey(lookout, 'post:7')).head).toBe('seven');
    expect((await inspectKey(others, 'post:7')).version).toBeNull();
    expect(await sizesOf(lookout, ['post:7'])).toEqual({ there: 1, bytes: 5 });
    expect(await countNames(lookout, 'post:7')).toBe(1);
    expect(await countNames(others, 'post:7')).toBe(0);
    lookout.close();
    others.close();
  });

  test('no key is without its prefix, and each name has its keys in one slot', async () => {
    const own = (await keys()).filter((key) => !/^\{?(post|posts|energex):/.test(key));
    expect(own.length).toBeGreaterThan(5);
    for (const key of own) expect(key).toMatch(/^\{?(shop|news):/);
    const guards = own.filter((key) => key.endsWith(':guard'));
    for (const guard of guards) {
      const name = guard.slice(1, -'}:guard'.length);
      expect(own).toContain(name);
      expect(slotOf(name)).toBe(slotOf(guard.slice(1, guard.indexOf('}'))));
    }
  });
});
