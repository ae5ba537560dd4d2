import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { Found } from '../../src/cache/store.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { eventually } from '../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';

describe('reads of many keys at once', () => {
  let leaks: LeakCheck;
  let server: RedisServer;
  let store: RedisStore;
  let client: Redis;

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startRedis();
    client = new Redis({ host: server.host, port: server.port });
    store = openRedisStore(server);
    await trusted(store);
  });
  beforeEach(async () => {
    await client.del('posts:all', 'post:1', 'post:2');
  });
  afterAll(async () => {
    await store.close();
    client.disconnect();
    await server.stop();
    await leaks.check();
  });

  async function readAll(keys: readonly string[], from = store): Promise<(Found | undefined)[]> {
    const told: (Found | undefined)[] = keys.map(() => undefined);
    await from.readAll(keys, (at, found) => {
      expect(told[at]).toBeUndefined();
      told[at] = found;
    });
    return told;
  }

  const long = 'x'.repeat(50_000);
  const textOf = (found: Found | undefined): unknown => (typeof found === 'object' ? found.value.toString() : found);

  test('short and long values, parts, and what is not there are each told of once, again and again', async () => {
    const versions = [
      await put(store, 'post:1', 'one'),
      await put(store, 'posts:all#limit=100', long, { meta: '"m" cursor' }),
      await put(store, 'posts:all#limit=1', '[1]'),
    ];
    // By the second time it is known which of them are long.
    for (let time = 0; time < 3; time += 1) {
      const told = await readAll(['post:1', 'posts:all#limit=100', 'post:2', 'posts:all#limit=1']);
      expect(told.map(textOf)).toEqual(['one', long, 'absent', '[1]']);
      expect([told[0], told[1], told[3]]).toEqual(versions.map((version) => expect.objectContaining({ version })));
      expect(told[1]).toEqual(expect.objectContaining({ meta: '"m" cursor', loadMs: 1 }));
    }
  });

  test('what ran out, has no version, or was given out under another run is absent', async () => {
    await put(store, 'post:1', 'one');
    await client.set('post:2', 'without a guard');
    await client.hset('{post:1}:guard', 'version', 'another-run.x.0.database.1');
    expect(await readAll(['post:1', 'post:2'])).toEqual(['absent', 'absent']);
    await client.del('post:1');
    expect(await readAll(['post:1'])).toEqual(['absent']);
    await put(store, 'post:2', 'two');
    await client.persist('post:2');
    expect(await readAll(['post:2'])).toEqual(['absent']);
  });

  test('a key of a foreign type is unanswered, and takes with it what is read together', async () => {
    await put(store, 'post:1', 'one');
    await client.del('{post:2}:guard');
    await client.set('{post:2}:guard', 'a string');
    expect(await readAll(['post:1', 'post:2'])).toEqual(['unanswered', 'unanswered']);
    await client.del('{post:2}:guard');
    await put(store, 'post:2', long);
    expect((await readAll(['post:2'])).map(textOf)).toEqual([long]);
    await client.del('post:2');
    await client.hset('post:2', 'a', 'hash');
    expect(await readAll(['post:2'])).toEqual(['unanswered']);
  });

  const nowhere = { host: '127.0.0.1', port: 1 };

  test.each([
    ['a server', nowhere, /ECONNREFUSED/],
    ['a cluster', { kind: 'cluster', nodes: [nowhere] }, /no node of the cluster answers/],
  ] as const)('a store that is not trusted answers nothing: %s', async (_, where, reason) => {
    const closed = openRedisStore(where);
    try {
      await eventually(async () => reason.test(closed.downReason ?? ''));
      expect(await readAll(['post:1', 'post:2'], closed)).toEqual(['unanswered', 'unanswered']);
      const told: unknown[] = [];
      await closed.confirm([{ key: 'post:1', version: 'v' }], (_, isCurrent) => told.push(isCurrent));
      expect(told).toEqual([undefined]);
    } finally {
      await closed.close();
    }
  });

  test('how many names are remembered as long is bounded', async () => {
    const keys = Array.from({ length: 1_001 }, (_, index) => `thing:${index}`);
    for (const key of keys) await put(store, key, 'x'.repeat(8 * 1024));
    for (const each of await readAll(keys)) expect(textOf(each)).toHaveLength(8 * 1024);
    for (const each of await readAll(keys)) expect(textOf(each)).toHaveLength(8 * 1024);
  });
});
