import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { StoreUnavailable } from '../../src/cache/store.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { published } from '../harness/engine.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { eventually } from '../harness/eventually.ts';
import { openRedisStore, put, type StoreOptions, trusted } from '../harness/redis-store.ts';
import { startProxy } from '../harness/tcp-proxy.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function ownRedis(options: Parameters<typeof startRedis>[0] = {}): Promise<RedisServer> {
  const server = await startRedis({ ownProcess: true, ...options });
  closers.push(() => server.stop());
  return server;
}

function openStore(at: Parameters<typeof openRedisStore>[0], more: StoreOptions = {}): RedisStore {
  const store = openRedisStore(at, { connectTimeoutMs: 500, timeoutMs: 200, bulkTimeoutMs: 400, ...more });
  closers.push(() => store.close());
  return store;
}

const isTrusted = async (store: RedisStore): Promise<boolean> => store.downReason === undefined;
const distrusted = (store: RedisStore): Promise<void> => eventually(async () => !(await isTrusted(store)));

describe('the Redis store when its server fails', () => {
  let leaks: LeakCheck;
  beforeAll(() => {
    leaks = trackLeaks();
  });
  afterAll(() => leaks.check());

  test('refuses at once before it is connected and after it was closed', async () => {
    const server = await ownRedis();
    const store = openStore(server);
    await expect(store.read('k')).rejects.toThrow(/not in use/);
    await expect(store.fence(['k'], 'writer', 100)).rejects.toBeInstanceOf(StoreUnavailable);
    await trusted(store);
    await store.close();
    await distrusted(store);
    await expect(store.ping()).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test('a server that is stopped is noticed, and used again when it is back, with nothing of before', async () => {
    const server = await ownRedis();
    const store = openStore(server);
    await trusted(store);
    const version = await put(store, 'k', 'before');
    const events = await published(async () => {
      await server.kill();
      await distrusted(store);
      await expect(store.validate('k')).rejects.toBeInstanceOf(StoreUnavailable);
      await server.restart();
      await trusted(store);
    });
    expect(events.map((event) => (event.type === 'store' ? event.up : event.type))).toEqual(
      expect.arrayContaining([false, true]),
    );
    expect(await store.validate('k')).toBeNull();
    expect(await put(store, 'k', 'after')).not.toContain(version.split('.')[0]);
  });

  test('a restart from an old snapshot brings back entries whose deletion it never saw, and none of them is served', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'energex-snapshot-'));
    closers.push(() => rm(dir, { recursive: true, force: true }));
    const server = await ownRedis({ dir });
    const store = openStore(server);
    await trusted(store);
    await put(store, 'k', 'old');
    const client = new Redis({ host: server.host, port: server.port });
    await client.save();
    await store.release(['k'], store.unique());
    await client.quit();
    await server.kill();
    await distrusted(store);
    await server.restart();
    await trusted(store);
    const after = new Redis({ host: server.host, port: server.port });
    closers.push(() => after.quit());
    // The snapshot really holds it, so the test is about the run id and nothing else.
    expect(await after.get('k')).toBe('old');
    expect(await after.hget('{k}:guard', 'version')).not.toBeNull();
    expect(await store.validate('k')).toBeNull();
    expect(await store.read('k')).toBeNull();
    expect((await store.acquire('k', 100)).kind).toBe('lease');
  });

  test('a server that hangs costs one deadline a command, then its connections are given up', async () => {
    const server = await ownRedis();
    const store = openStore(server);
    await trusted(store);
    await server.pause();
    const events = await published(async () => {
      await expect(store.validate('k')).rejects.toThrow(/no answer from Redis within 200 ms/);
      await expect(store.read('k')).rejects.toBeInstanceOf(StoreUnavailable);
      await distrusted(store);
    });
    expect(events.some((event) => event.type === 'store' && !event.up)).toBe(true);
    await server.resume();
    await trusted(store);
    await put(store, 'k', 'again');
  });

  test('after three missed deadlines in a row nobody waits for a server that hangs, until it answers again', async () => {
    const server = await ownRedis();
    const store = openStore(server, { connectTimeoutMs: 20_000, timeoutMs: 50 });
    await trusted(store);
    await put(store, 'k', 'v');
    await server.pause();
    const events = await published(async () => {
      const misses = await Promise.allSettled(['a', 'b', 'c'].map((key) => store.surrender(key, 'nobody')));
      expect(misses.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    });
    const reason = 'no answer from Redis within 50 ms, 3 times in a row';
    expect(events).toEqual([
      { type: 'breaker', open: true, reason },
      { type: 'store', up: false, reason },
    ]);
    expect(store.downReason).toMatch(/no answer from Redis within 50 ms/);
    // Refused before anything is sent: the connections themselves are still up.
    await expect(store.validate('k')).rejects.toThrow(/not in use/);
    // Now it is only asked for a ping, time and again.
    await eventually(async () => store.downReason === 'no answer from Redis within 50 ms');
    const closing = await published(async () => {
      await server.resume();
      await trusted(store);
    });
    expect(closing).toContainEqual({ type: 'breaker', open: false, reason: 'answered again' });
    // The same run of the same server, which saw every deletion: what it holds is as good as before.
    expect((await store.read('k'))?.value.toString()).toBe('v');
  });

  test('one answer in between and the count of missed deadlines begins anew', async () => {
    const server = await ownRedis();
    const proxy = await startProxy(server);
    closers.push(() => proxy.close());
    const store = openStore(proxy, { connectTimeoutMs: 20_000, timeoutMs: 50 });
    await trusted(store);
    for (let round = 0; round < 4; round += 1) {
      proxy.blackHole();
      await expect(store.validate('k')).rejects.toThrow(/no answer/);
      await proxy.restore();
      await eventually(async () => (await store.validate('k').catch(() => 'missed')) === null);
      expect(store.downReason).toBeUndefined();
    }
  });

  test('a black hole between here and the server is noticed and recovered from', async () => {
    const server = await ownRedis();
    const proxy = await startProxy(server);
    closers.push(() => proxy.close());
    const store = openStore(proxy);
    await trusted(store);
    proxy.blackHole();
    await expect(store.ping()).rejects.toBeInstanceOf(StoreUnavailable);
    await distrusted(store);
    await proxy.restore();
    await trusted(store);
  });

  test('what the outbox holds is invalidated before the store is trusted, and again and again until that works', async () => {
    const server = await ownRedis();
    let attempts = 0;
    const trustedDuring: boolean[] = [];
    const store: RedisStore = openStore(server, {
      recover: async () => {
        attempts += 1;
        trustedDuring.push(await isTrusted(store));
        if (attempts < 3) throw new Error('the database is away');
        await store.release(['k'], store.unique());
      },
    });
    await eventually(async () => attempts === 1);
    await expect(store.read('k')).rejects.toThrow(/the database is away|not connected/);
    // A write may fence while the outbox is still being swept: it only takes trust away.
    await store.fence(['other'], 'writer', 60_000);
    await trusted(store);
    expect(attempts).toBe(3);
    expect(trustedDuring).toEqual([false, false, false]);
    expect(await store.acquire('other', 100)).toEqual({ kind: 'bypass' });
  });

  test('a write that is under way when the server is back has ended before the outbox is read', async () => {
    const server = await ownRedis();
    const gate = Promise.withResolvers<boolean>();
    const order: string[] = [];
    const store = openStore(server, {
      barrier: async () => {
        order.push('barrier');
        return await gate.promise;
      },
      recover: async () => {
        order.push('sweep');
      },
    });
    await eventually(async () => order.length > 0);
    expect(order).toEqual(['barrier']);
    await eventually(async () => store.downReason === 'a write that was under way has not ended yet');
    gate.resolve(true);
    await trusted(store);
    expect(order.at(-1)).toBe('sweep');
    expect(order.filter((step) => step === 'sweep')).toHaveLength(1);
  });

  test('without the barrier the server is used when no COMMIT can be out any more', async () => {
    const server = await ownRedis();
    const began = performance.now();
    const store = openStore(server, { fenceMs: 600, barrier: async () => false });
    await trusted(store);
    expect(performance.now() - began).toBeGreaterThan(600);
  });

  test('a recovery whose connection is lost meanwhile does not make the next one trusted', async () => {
    const server = await ownRedis();
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let attempts = 0;
    const store = openStore(server, {
      recover: async () => {
        attempts += 1;
        await gates[attempts - 1]?.promise;
      },
    });
    await eventually(async () => attempts === 1);
    await server.restart();
    await eventually(async () => attempts === 2);
    gates[0]?.resolve();
    await expect(store.read('k')).rejects.toBeInstanceOf(StoreUnavailable);
    gates[1]?.resolve();
    await trusted(store);
  });

  test('closing ends a recovery that is waiting to try again', async () => {
    const server = await ownRedis();
    let attempts = 0;
    const store = openStore(server, {
      recover: async () => {
        attempts += 1;
        throw new Error('never');
      },
    });
    await eventually(async () => attempts === 2);
    await store.close();
    const atClose = attempts;
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(attempts).toBeLessThanOrEqual(atClose);
  });

  test('a server that answers reads and refuses deletions is not trusted until a sweep has gone through', async () => {
    const server = await ownRedis();
    const outbox: string[] = [];
    let sweeps = 0;
    const store: RedisStore = openStore(server, {
      recover: async () => {
        sweeps += 1;
        if (outbox.length > 0) await store.release(outbox, store.unique());
        outbox.length = 0;
      },
    });
    await trusted(store);
    await put(store, 'k', 'old');
    const client = new Redis({ host: server.host, port: server.port });
    closers.push(() => client.quit());
    // As a master without its replicas does, a demoted one, or one that cannot save its snapshot.
    await client.config('SET', 'min-replicas-to-write', '1');
    await expect(store.fence(['k'], 'writer', 1_000)).rejects.toThrow(/NOREPLICAS/);
    outbox.push('k');
    // The write has committed with its row in the outbox; its release fails as well, before it is acknowledged.
    await expect(store.release(['k'], 'writer')).rejects.toThrow(/NOREPLICAS/);
    await expect(store.read('k')).rejects.toBeInstanceOf(StoreUnavailable);
    const before = sweeps;
    await eventually(async () => sweeps > before + 1);
    await expect(store.validate('k')).rejects.toThrow(/NOREPLICAS|a deletion failed/);
    await client.config('SET', 'min-replicas-to-write', '0');
    await trusted(store);
    expect(await store.read('k')).toBeNull();
  });

  test('a deletion that fails while the outbox is being swept makes the sweep begin again', async () => {
    const server = await ownRedis();
    const gate = Promise.withResolvers<void>();
    let sweeps = 0;
    const store = openStore(server, {
      recover: async () => {
        sweeps += 1;
        if (sweeps === 1) await gate.promise;
      },
    });
    await eventually(async () => sweeps === 1);
    const client = new Redis({ host: server.host, port: server.port });
    closers.push(() => client.quit());
    await client.config('SET', 'min-replicas-to-write', '1');
    await expect(store.release(['k'], 'writer')).rejects.toBeInstanceOf(StoreUnavailable);
    await client.config('SET', 'min-replicas-to-write', '0');
    gate.resolve();
    await trusted(store);
    expect(sweeps).toBe(2);
  });

  test('entries that were loaded from another database are not served, nor may its loaders store', async () => {
    const server = await ownRedis();
    let origin = 'old';
    const store = openStore(server, { origin: () => origin });
    await trusted(store);
    await put(store, 'k', 'of the old one');
    const acquired = await store.acquire('loading', 5_000);
    const token = acquired.kind === 'lease' ? acquired.token : '';
    origin = 'new';
    expect(await store.validate('k')).toBeNull();
    expect(await store.read('k')).toBeNull();
    expect((await store.acquire('k', 1_000)).kind).toBe('lease');
    const value = { value: Buffer.from('of the old one'), meta: '', ttlMs: 60_000, loadMs: 1 };
    expect(await store.fill('loading', token, value)).toEqual({ stored: false, reason: 'lease-lost' });
  });

  test('a wrong password is told as the reason', async () => {
    const server = await ownRedis({ password: 'right' });
    const store = openStore({ host: server.host, port: server.port, password: 'wrong' });
    await eventually(async () => /WRONGPASS|invalid/i.test(store.downReason ?? ''));
    const right = openStore({ host: server.host, port: server.port, password: 'right' });
    await trusted(right);
  });
});
