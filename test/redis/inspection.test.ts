import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { countNames, inspectKey, sizesOf } from '../../src/redis/inspection.ts';
import { Lookout } from '../../src/redis/lookout.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import type { RedisAddress } from '../../src/config.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { type RedisServer, startRedis, withClient } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What stands in Redis under a key, on one server and in a cluster. */

const options = { connectTimeoutMs: 2_000, timeoutMs: 2_000 };

async function looking<T>(address: RedisAddress, use: (lookout: Lookout) => Promise<T>): Promise<T> {
  const lookout = new Lookout(address, options);
  try {
    return await use(lookout);
  } finally {
    lookout.close();
  }
}

describe('on one server', () => {
  let leaks: LeakCheck;
  let redis: RedisServer;
  let store: RedisStore;
  let address: RedisAddress;

  beforeAll(async () => {
    leaks = trackLeaks();
    redis = await startRedis({ ownProcess: true });
    address = { kind: 'single', host: redis.host, port: redis.port };
    store = openRedisStore(address);
    await trusted(store);
  });
  afterAll(async () => {
    await store.close();
    await redis.stop();
    await leaks.check();
  });

  const inspect = (key: string) => looking(address, (lookout) => inspectKey(lookout, key));

  test('nothing', async () => {
    expect(await inspect('post:9')).toMatchObject({
      version: null,
      bytes: null,
      ttlMs: null,
      foreign: undefined,
      lease: undefined,
      waiters: 0,
      fences: [],
      parts: [],
      table: { isThere: true, opensInMs: 0 },
    });
  });

  test('a value and its guard, of a part too', async () => {
    const version = await put(store, 'post:1', 'some bytes');
    const found = await inspect('post:1');
    expect(found).toMatchObject({ version, bytes: 10, head: 'some bytes', table: { run: found.runId } });
    expect(version.startsWith(`${found.runId}.`)).toBe(true);
    expect(found.memoryBytes).toBeGreaterThan(100);
    expect(found.ttlMs).toBeGreaterThan(0);
    await put(store, 'posts:all#limit=2', 'a page');
    expect(await inspect('posts:all#limit=2')).toMatchObject({ bytes: 6, head: 'a page' });
    expect(await inspect('posts:all')).toMatchObject({ version: null, bytes: null, parts: ['limit=2'] });
  });

  test('a version without bytes', async () => {
    const acquired = await store.acquire('posts:all', 5_000, { composes: true });
    if (acquired.kind !== 'lease') throw new Error(`got ${acquired.kind}`);
    await store.fill('posts:all', acquired.token, { value: null, meta: '"tag" - 0:1', ttlMs: 60_000, loadMs: 3 });
    const found = await inspect('posts:all');
    expect(found).toMatchObject({ version: acquired.token, bytes: null, meta: '"tag" - 0:1', loadMs: 3 });
    expect(found.ttlMs).toBeGreaterThan(50_000);
  });

  test('a lease with who waits for it, and a fence', async () => {
    await store.acquire('post:2', 5_000);
    const waiting = await store.acquire('post:2', 5_000);
    const leased = await inspect('post:2');
    if (waiting.kind === 'wait') waiting.notice.close();
    expect(leased.waiters).toBe(1);
    expect(leased.lease?.remainingMs).toBeGreaterThan(0);
    await store.fence(['post:2'], 'writer', 10_000);
    const fenced = await inspect('post:2');
    expect(fenced).toMatchObject({ lease: undefined, fences: [{ token: 'writer' }] });
    expect(fenced.fences[0]?.remainingMs).toBeGreaterThan(0);
    await store.release(['post:2'], 'writer');
    expect((await inspect('post:2')).fences).toEqual([]);
  });

  test('something else under the key', async () => {
    await withClient(redis.url, (client) => client.lpush('post:3', 'x'));
    expect(await inspect('post:3')).toMatchObject({ foreign: 'a list', bytes: null });
  });

  test('a user who may not ask what it takes', async () => {
    await put(store, 'post:4', 'x');
    await withClient(redis.url, (client) =>
      client.call('ACL', 'SETUSER', 'looker', 'on', '>pass', '~*', '+@all', '-memory'),
    );
    const found = await looking({ ...address, username: 'looker', password: 'pass' }, (lookout) =>
      inspectKey(lookout, 'post:4'),
    );
    expect(found).toMatchObject({ bytes: 1, memoryBytes: null });
  });

  test('many keys together', async () => {
    await put(store, 'posts:rows:0', 'abc');
    await put(store, 'posts:rows:1', 'de');
    const keys = ['posts:rows:0', 'posts:rows:1', 'posts:rows:2'];
    expect(await looking(address, (lookout) => sizesOf(lookout, keys))).toEqual({ there: 2, bytes: 5 });
    expect(await looking(address, (lookout) => countNames(lookout, 'posts:rows:'))).toBe(2);
  });

  test('a server of which memory was lost has no fence table', async () => {
    await withClient(redis.url, (client) => client.flushall());
    expect(await inspect('post:1')).toMatchObject({ version: null, table: { isThere: false } });
  });
});

describe('a lookout', () => {
  const stops = stopAfterEach();

  test('in a cluster: each key on its master', async () => {
    const cluster = await startRedisCluster({ replicas: false });
    stops.push(cluster.stop);
    const nodes = cluster.masters.map(({ host, port }) => ({ host, port }));
    const address: RedisAddress = { kind: 'cluster', nodes };
    const store = openRedisStore(address);
    stops.push(() => store.close());
    await trusted(store);
    const keys = Array.from({ length: 12 }, (_, at) => `posts:rows:${at}`);
    for (const key of keys) await put(store, key, 'abc');
    await looking(address, async (lookout) => {
      expect(await lookout.names()).toHaveLength(3);
      expect(await sizesOf(lookout, [...keys, 'posts:rows:99'])).toEqual({ there: 12, bytes: 36 });
      expect(await countNames(lookout, 'posts:rows:')).toBe(12);
      expect(await inspectKey(lookout, 'posts:rows:3')).toMatchObject({ bytes: 3, table: { isThere: true } });
    });
    const [first] = cluster.masters;
    if (first === undefined) throw new Error('no master');
    for (const master of cluster.masters) {
      const own = await cluster.on(master, (client) => client.call('CLUSTER', 'KEYSLOT', 'post:1'));
      await cluster.on(master, (client) => client.call('CLUSTER', 'DELSLOTS', Number(own)).catch(() => undefined));
    }
    await looking(address, async (lookout) => {
      await expect(lookout.seeKey('post:1')).rejects.toThrow('no node of the cluster has slot');
    });
  }, 60_000);

  test('of one server knows no slots', async () => {
    const redis = await startRedis();
    stops.push(redis.stop);
    await looking({ kind: 'single', host: redis.host, port: redis.port, db: redis.db }, async (lookout) => {
      expect([await lookout.names(), await lookout.slots()]).toEqual([[''], []]);
    });
  });

  test('says why it cannot see', async () => {
    const nowhere = { host: '127.0.0.1', port: 1 };
    await looking({ kind: 'single', ...nowhere }, (lookout) => expect(lookout.see('')).rejects.toThrow('ECONNREFUSED'));
    await looking({ kind: 'cluster', nodes: [nowhere] }, (lookout) =>
      expect(lookout.names()).rejects.toThrow(/127\.0\.0\.1:1: .*ECONNREFUSED/),
    );
    const redis = await startRedis({ ownProcess: true });
    stops.push(redis.stop);
    await redis.pause();
    const hanging = new Lookout(
      { kind: 'single', host: redis.host, port: redis.port },
      { ...options, connectTimeoutMs: 200 },
    );
    // Whichever of the two deadlines comes first.
    await expect(hanging.see('').finally(() => hanging.close())).rejects.toThrow(/200 ?ms/);
    await redis.resume();
  });
});
