import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { MemoryCheckpoint, parseMark } from '../../src/change-feed/checkpoint.ts';
import { StoreUnavailable } from '../../src/cache/store.ts';
import { RedisCheckpoint } from '../../src/redis/feed-checkpoint.ts';
import { keepText, keptText } from '../../src/redis/kept-text.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { describeCheckpoint, mark } from '../contracts/checkpoint.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';

describe('the checkpoint of the change feed', () => {
  let leaks: LeakCheck;
  let server: RedisServer;
  let client: Redis;
  let store: RedisStore;
  let origin = 'database';
  let generation = '1';

  const current = ({ run = '' }: RedisStore) => ({ run, generation, settled: true });

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startRedis();
    client = new Redis(server.url);
    store = openRedisStore(server, {
      origin: () => origin,
      claim: {
        make: async () => current(store),
        read: async () => current(store),
        settle: async () => undefined,
      },
    });
    await trusted(store);
  });
  beforeEach(async () => {
    await client.flushall();
  });
  afterAll(async () => {
    await store.close();
    client.disconnect();
    await server.stop();
    await leaks.check();
  });

  describeCheckpoint('Redis', async () => new RedisCheckpoint(store));
  describeCheckpoint('memory', async () => new MemoryCheckpoint());

  describe('the checkpoint in Redis', () => {
    test('is trusted no longer than the entries are: flushed, evicted, of another database', async () => {
      const checkpoint = new RedisCheckpoint(store);
      for (const lose of [() => client.flushall(), () => client.del('energex:feed')]) {
        await checkpoint.save(mark);
        await lose();
        expect(await checkpoint.load()).toBeNull();
      }
      await checkpoint.save(mark);
      const version = await put(store, 'post:1', 'x');
      origin = 'another';
      expect([await checkpoint.load(), await store.validate('post:1')]).toEqual([null, null]);
      origin = 'database';
      expect([await checkpoint.load(), await store.validate('post:1')]).toEqual([mark, version]);
    });

    test('something else in its place is none, and makes room', async () => {
      const checkpoint = new RedisCheckpoint(store);
      await client.set('energex:feed', 'x');
      expect(await checkpoint.load()).toBeNull();
      await checkpoint.save(mark);
      expect(await checkpoint.load()).toEqual(mark);
    });

    test('what else goes wrong is told', async () => {
      const send = (): Promise<never> => Promise.reject(new StoreUnavailable('LOADING Redis is loading'));
      const call = { link: { send }, deadlineMs: 1, trusted: '', ground: { runId: '', epoch: '', settleMs: 1 } };
      const place = { fences: '', value: 'energex:feed', guard: '', suffix: '' };
      await expect(keptText(call, place)).rejects.toThrow('LOADING');
      await expect(keepText(call, place, 'text')).rejects.toThrow('LOADING');
    });

    test('a restart, with all that was saved, makes it nothing; so does another claim meanwhile', async () => {
      const checkpoint = new RedisCheckpoint(store);
      await checkpoint.save(mark);
      await client.save();
      await server.restart();
      await trusted(store);
      expect(await client.hget('energex:feed', 'text')).toContain('binlog.000007');
      expect(await checkpoint.load()).toBeNull();
      await checkpoint.save(mark);
      generation = '2';
      const reader: RedisStore = openRedisStore(server, {
        claim: {
          make: async () => current(reader),
          read: async () => current(reader),
          settle: async () => undefined,
        },
      });
      try {
        await trusted(reader);
        expect(await new RedisCheckpoint(reader).load()).toBeNull();
      } finally {
        await reader.close();
      }
    });

    test('what is no mark is none', () => {
      for (const text of ['', 'null', '{}', '{"position":{"log":"l","file":"f","offset":1},"run":1}', '[1]']) {
        expect(parseMark(text)).toBeNull();
      }
    });
  });
});
