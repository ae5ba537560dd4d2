import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RedisStore } from '../../src/redis/store.ts';
import { eventually } from '../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { follow, type RedisSentinel, startSentinel } from '../harness/redis-sentinel.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

describe('the Redis store behind a Sentinel', () => {
  let leaks: LeakCheck;
  let master: RedisServer;
  let replica: RedisServer;
  /** Between the replica and its master. */
  let wire: TcpProxy;
  let sentinel: RedisSentinel;
  let store: RedisStore;

  beforeAll(async () => {
    // ioredis takes two seconds to forget its connection to a Sentinel.
    leaks = trackLeaks(3_000);
    [master, replica] = await Promise.all([startRedis({ ownProcess: true }), startRedis({ ownProcess: true })]);
    wire = await startProxy(master);
    await follow(replica, wire);
    // The replica tells its own port, but its master sees the proxy: the Sentinel finds it by what the master was told.
    sentinel = await startSentinel(master);
    store = openRedisStore({
      kind: 'sentinel',
      sentinels: [{ host: sentinel.host, port: sentinel.port }],
      master: sentinel.name,
    });
    await trusted(store);
  }, 60_000);
  afterAll(async () => {
    await store.close();
    await sentinel.stop();
    await wire.close();
    await Promise.all([master.stop(), replica.stop()]);
    await leaks.check();
  });

  test('after a failover to a replica that missed deletions nothing of before is served, and the store is used again', async () => {
    const before = await put(store, 'k', 'old');
    const follower = new Redis({ host: replica.host, port: replica.port });
    await eventually(async () => (await follower.get('k')) === 'old');
    // From here on the replica hears nothing: not of the fence, not of the release.
    wire.blackHole();
    await store.fence(['k'], 'writer', 30_000);
    await store.release(['k'], 'writer');
    // It has to look alive to the Sentinel, which knows it by its own address.
    await eventually(async () => (await sentinel.replicas()).length === 1);
    await master.kill();
    await eventually(async () => (await sentinel.masterPort()) === replica.port, 30_000);
    await trusted(store);
    // The new master really has it, so the test is about the run id and nothing else.
    expect(await follower.get('k')).toBe('old');
    expect(await follower.hget('{k}:guard', 'version')).toBe(before);
    expect(await store.validate('k')).toBeNull();
    expect(await store.read('k')).toBeNull();
    expect(await put(store, 'k', 'new')).not.toContain(before.split('.')[0]);
    expect(await follower.get('k')).toBe('new');
    await follower.quit();
  }, 60_000);
});
