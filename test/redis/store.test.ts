import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { type Found, StoreUnavailable } from '../../src/cache/store.ts';
import { sealed } from '../../src/redis/seal.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { describeCacheStore } from '../contracts/cache-store.ts';
import { published } from '../harness/engine.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { eventually } from '../harness/eventually.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';

describeCacheStore('the Redis store', async () => {
  const server = await startRedis();
  const store = openRedisStore(server);
  const client = new Redis({ host: server.host, port: server.port });
  await trusted(store);
  const serverTime = async (): Promise<number> => {
    const [seconds, micros] = await client.time();
    return Number(seconds) * 1_000 + Number(micros) / 1_000;
  };
  return {
    store,
    elapse: async (ms) => {
      const end = (await serverTime()) + ms;
      await eventually(async () => (await serverTime()) > end);
    },
    close: async () => {
      await store.close();
      client.disconnect();
      await server.stop();
    },
  };
});

describe('the Redis store on a live server', () => {
  let leaks: LeakCheck;
  let server: RedisServer;
  let store: RedisStore;
  let client: Redis;

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startRedis();
    client = new Redis(server.url);
    store = openRedisStore(server);
    await trusted(store);
  });
  beforeEach(() => client.flushall());
  afterAll(async () => {
    await store.close();
    await client.quit();
    await server.stop();
    await leaks.check();
  });

  test('a value is a plain string that any program may GET; its guard is a hash in the same cluster slot', async () => {
    const version = await put(store, 'post:1', '{"id":1}', { meta: '"tag"', loadMs: 7 });
    expect(await client.get('post:1')).toBe('{"id":1}');
    expect(await client.pttl('post:1')).toBeGreaterThan(59_000);
    expect(await client.hgetall('{post:1}:guard')).toEqual({
      version,
      meta: expect.stringMatching(/^[0-9a-f]{8}"tag"$/),
      load_ms: '7',
      sum: expect.stringMatching(/^[0-9a-f]{8}$/),
    });
    expect(version).toMatch(new RegExp(`^${/run_id:(\w+)/.exec(await client.info('server'))?.[1]}\\.`));
    expect(await client.pttl('{post:1}:guard')).toBeGreaterThanOrEqual(await client.pttl('post:1'));
  });

  test('a guard has a time to live at every step, so that nothing is left behind', async () => {
    await store.acquire('post:1', 5_000);
    expect(await client.pttl('{post:1}:guard')).toBeGreaterThan(0);
    await store.fence(['post:1'], 'writer', 7_000);
    expect(await client.keys('*')).toEqual(['energex:fences']);
    expect(await client.hget('energex:fences', '{post:1}:guard')).toMatch(/^writer:\d+$/);
    await store.release(['post:1'], 'writer');
    expect(Object.keys(await client.hgetall('energex:fences')).toSorted()).toEqual([
      'epoch',
      'opens_at',
      'position',
      'run',
      'tidied_at',
    ]);
  });

  test('a version of another run of the server is none, neither validated nor read nor acquired', async () => {
    const version = await put(store, 'post:1', 'before');
    await client.hset('{post:1}:guard', 'version', `0000${version.slice(4)}`);
    expect(await store.validate('post:1')).toBeNull();
    expect(await store.read('post:1')).toBeNull();
    expect((await store.acquire('post:1', 100)).kind).toBe('lease');
  });

  test('a value without a guard, without a time to live, or put there by another program is not served', async () => {
    await client.set('post:1', 'foreign');
    expect(await store.read('post:1')).toBeNull();
    await put(store, 'post:2', 'ours');
    await client.set('post:2', 'foreign, for ever');
    expect(await store.read('post:2')).toBeNull();
    expect((await store.acquire('post:2', 100)).kind).toBe('lease');
  });

  test('an evicted value is a miss although its guard is there, and the other way round', async () => {
    await put(store, 'post:1', 'v');
    await client.del('post:1');
    expect(await store.read('post:1')).toBeNull();
    await put(store, 'post:1', 'v');
    await client.del('{post:1}:guard');
    expect(await store.validate('post:1')).toBeNull();
    expect(await store.read('post:1')).toBeNull();
  });

  test('scripts that the server has lost are sent again', async () => {
    await client.script('FLUSH');
    await put(store, 'post:1', 'v');
    expect((await store.read('post:1'))?.value.toString()).toBe('v');
  });

  test('a foreign type under a key makes the store unavailable for it, and nothing worse', async () => {
    await client.rpush('post:1', 'a list');
    await client.rpush('{post:2}:guard', 'a list');
    await expect(store.read('post:2')).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(store.validate('post:2')).rejects.toThrow(/WRONGTYPE/);
    await expect(store.acquire('post:2', 100)).rejects.toBeInstanceOf(StoreUnavailable);
    expect((await store.acquire('post:1', 100)).kind).toBe('lease');
    // Who misses there takes it away.
    expect((await store.acquire('post:2', 100)).kind).toBe('lease');
  });

  test('a writer takes away what stands in the place of a guard', async () => {
    await client.rpush('{post:1}:guard', 'a list');
    await store.fence(['post:1'], 'writer', 1_000);
    await client.set('{post:1}:guard', 'a text');
    await store.release(['post:1'], 'writer');
    await put(store, 'post:1', 'v');
    expect((await store.read('post:1'))?.value.toString()).toBe('v');
  });

  describe('what is not what was stored is taken away, and told', () => {
    const damages: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['other bytes', () => client.set('post:1', 'V', 'KEEPTTL')],
      ['bytes cut off', () => client.set('post:1', '', 'KEEPTTL')],
      ['another entity tag', () => client.hset('{post:1}:guard', 'meta', '00000000tag')],
      ['a header more', () => client.hset('{post:1}:guard', 'meta', 'x\r\nset-cookie: y')],
      ['a header more, with its checksum', () => sealAnew('x\r\nset-cookie: y')],
      ['nothing beside it', () => client.hdel('{post:1}:guard', 'meta')],
      ['no checksum', () => client.hdel('{post:1}:guard', 'sum')],
      ['another time that it took', () => client.hset('{post:1}:guard', 'load_ms', 'x')],
      ['the whole of another key', () => copyAll('post:2', 'post:1')],
    ];
    const sealAnew = async (meta: string): Promise<void> => {
      const version = (await client.hget('{post:1}:guard', 'version')) ?? '';
      const place = { guard: '{post:1}:guard', suffix: '' };
      await client.hset('{post:1}:guard', 'meta', sealed(place, version, { meta, loadMs: 1 }), 'load_ms', '1');
    };
    const copyAll = async (from: string, to: string): Promise<void> => {
      await client.copy(from, to, 'REPLACE');
      await client.copy(`{${from}}:guard`, `{${to}}:guard`, 'REPLACE');
    };
    const readAlone = (): Promise<Found> => store.read('post:1').then((entry) => entry ?? 'absent');
    const readMany = async (): Promise<Found> => {
      let found: Found = 'unanswered';
      await store.readAll(['post:1'], (_, told) => {
        found = told;
      });
      return found;
    };

    test.each(
      damages.flatMap(([what, damage]) =>
        [readAlone, readMany].map((read) => [what, read.name, damage, read] as const),
      ),
    )('%s, by %s', async (what, _, damage, read) => {
      await put(store, 'post:1', 'v');
      await put(store, 'post:2', 'w');
      await damage();
      const events = await published(async () => expect(await read()).toBe('absent'));
      // No bytes are no value, for a script.
      if (what !== 'bytes cut off') expect(events).toContainEqual({ type: 'damage', key: 'post:1' });
      expect((await store.acquire('post:1', 100)).kind).toBe('lease');
      expect((await store.read('post:2'))?.value.toString()).toBe('w');
    });

    test.each(damages)('%s, by who wants a lease', async (_, damage) => {
      await put(store, 'post:1', 'v');
      await put(store, 'post:2', 'w');
      await damage();
      expect((await store.acquire('post:1', 100)).kind).toBe('lease');
    });

    test('a version without bytes, by who puts it together', async () => {
      const lease = await store.acquire('posts:all', 5_000);
      const token = lease.kind === 'lease' ? lease.token : '';
      await store.fill('posts:all', token, { value: null, meta: 'segments', ttlMs: 60_000, loadMs: 1 });
      expect((await store.acquire('posts:all', 100, { composes: true })).kind).toBe('version');
      await client.hset('{posts:all}:guard', 'meta', '00000000others');
      expect((await store.acquire('posts:all', 100, { composes: true })).kind).toBe('lease');
    });

    test('whoever damages it again and again does not keep a reader busy', async () => {
      await put(store, 'post:1', 'v');
      const damage = (): Promise<unknown> => client.set('post:1', 'V', 'KEEPTTL');
      await damage();
      const release = store.release.bind(store);
      const released = jest.spyOn(store, 'release').mockImplementation(async (...args) => {
        await release(...args);
        await put(store, 'post:1', 'v');
        await damage();
      });
      expect((await store.acquire('post:1', 100)).kind).toBe('bypass');
      released.mockRestore();
    });
  });

  test('a foreign type that comes between lease and fill makes the store unavailable for that key', async () => {
    const lease = await store.acquire('post:1', 5_000);
    await client.multi().del('{post:1}:guard').rpush('{post:1}:guard', 'a list').exec();
    const value = { value: Buffer.from('v'), meta: '', ttlMs: 60_000, loadMs: 1 };
    const fill = store.fill('post:1', lease.kind === 'lease' ? lease.token : '', value);
    await expect(fill).rejects.toThrow(/WRONGTYPE/);
    expect((await store.acquire('post:1', 100)).kind).toBe('lease');
  });

  test('leases and fills of one turn are one script each, and a foreign type at one place is no concern of the others', async () => {
    await put(store, 'settled', 'v');
    await client.rpush('{post:3}:guard', 'a list');
    const scriptsRun = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    const before = await scriptsRun();
    const keys = ['post:1', 'post:2', 'post:3', 'posts:all#limit=1', 'posts:all#limit=2'];
    const asked = await Promise.allSettled(keys.map((key) => store.acquire(key, 5_000)));
    const tokens = asked.map((each) =>
      each.status === 'fulfilled' && each.value.kind === 'lease' ? each.value.token : '',
    );
    expect(asked[2]).toMatchObject({ status: 'rejected', reason: expect.any(StoreUnavailable) });
    expect(new Set(tokens).size).toBe(keys.length);
    await client.del('{post:2}:guard');
    const filled = await Promise.allSettled(
      keys.map((key, index) => {
        const fill = { value: Buffer.from(key), meta: '', ttlMs: 60_000, loadMs: 1 };
        return store.fill(key, tokens[index] || tokens[0] || '', fill);
      }),
    );
    const stored = { status: 'fulfilled', value: { stored: true } };
    expect(filled).toMatchObject([
      stored,
      { status: 'fulfilled', value: { stored: false, reason: 'lease-lost' } },
      // What was in its place is gone by now, and nobody has a lease.
      { status: 'fulfilled', value: { stored: false, reason: 'lease-lost' } },
      stored,
      stored,
    ]);
    expect((await scriptsRun()) - before).toBe(2);
    expect((await store.read('posts:all#limit=2'))?.value.toString()).toBe('posts:all#limit=2');
  });

  test('what a writer fences and releases is one script each', async () => {
    const scriptsRun = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]);
    const [one, other] = [await put(store, 'post:1', 'v'), await put(store, 'posts:all', '[v]')];
    const before = await scriptsRun();
    await store.fence(['post:1', 'posts:all'], 'writer', 5_000);
    expect(await store.acquire('post:1', 100)).toEqual({ kind: 'bypass' });
    expect(await store.acquire('posts:all#limit=1', 100)).toEqual({ kind: 'bypass' });
    await store.release(['post:1', 'posts:all'], 'writer');
    expect((await scriptsRun()) - before).toBe(4);
    expect(await store.validate('post:1')).not.toBe(one);
    expect(await store.validate('posts:all')).not.toBe(other);
    expect((await store.acquire('post:1', 100)).kind).toBe('lease');
  });

  test('validations of one turn are one write and one read of the connection', async () => {
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(await client.info('stats'))?.[1]);
    const before = await reads();
    await Promise.all(Array.from({ length: 200 }, (_, index) => store.validate(`post:${index}`)));
    expect((await reads()) - before).toBeLessThanOrEqual(4);
  });

  test('the parts of a name have a bound: past it the guard starts anew', async () => {
    const fields: number[] = [];
    for (let limit = 0; limit < 540; limit += 1) {
      await put(store, `posts:all#limit=${limit}`, 'page');
      fields.push(await client.hlen('{posts:all}:guard'));
    }
    expect(Math.max(...fields)).toBeLessThanOrEqual(2_003);
    expect(fields.at(-1)).toBeLessThan(200);
    expect((await store.read('posts:all#limit=539'))?.value.toString()).toBe('page');
  });

  test('a server that is full or read-only is unavailable for fills, and serves what it has', async () => {
    await put(store, 'post:1', 'v');
    const acquired = await store.acquire('post:2', 5_000);
    await client.config('SET', 'maxmemory', '1');
    try {
      if (acquired.kind !== 'lease') throw new Error(acquired.kind);
      const fill = store.fill('post:2', acquired.token, {
        value: Buffer.alloc(100),
        meta: '',
        ttlMs: 1_000,
        loadMs: 1,
      });
      await expect(fill).rejects.toThrow(/OOM/);
      expect((await store.read('post:1'))?.value.toString()).toBe('v');
    } finally {
      await client.config('SET', 'maxmemory', '0');
    }
  });
});
