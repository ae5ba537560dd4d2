import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { StoreUnavailable } from '../../src/cache/store.ts';
import type { EventLog } from '../../src/realtime/event-log.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { boundsUnderTest, describeEventLog, event } from '../contracts/event-log.ts';
import { eventually } from '../harness/eventually.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, trusted } from '../harness/redis-store.ts';

const stream = 'energex:events';
const state = '{energex:events}:state';

describeEventLog('the event log on Redis', async () => {
  const server = await startRedis();
  const store = openRedisStore(server);
  const client = new Redis(server.url);
  await trusted(store);
  return {
    log: store.openEventLog(boundsUnderTest),
    // As if they had been appended earlier.
    age: async () => {
      const entries = await client.xrange(stream, '-', '+');
      await client.del(stream);
      for (const [id, fields] of entries) await client.xadd(stream, id, ...fields.slice(0, -1), '1');
    },
    close: async () => {
      await store.close();
      client.disconnect();
      await server.stop();
    },
  };
});

describe('the event log on a live Redis', () => {
  let server: RedisServer;
  let client: Redis;
  let generation: string;
  const stores: RedisStore[] = [];

  /** The run in use: a look at the claim must find the one that was made, however slow the machine is. */
  let run = '';
  const current = () => ({ run, generation, settled: true });
  const make = async (made: string) => {
    run = made;
    return current();
  };

  const open = async (): Promise<EventLog> => {
    const store = openRedisStore(server, {
      claim: { make, read: async () => current(), settle: async () => undefined },
    });
    stores.push(store);
    await trusted(store);
    return store.openEventLog(boundsUnderTest);
  };

  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });
  beforeEach(async () => {
    generation = '1';
    await client.flushdb();
  });
  afterAll(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await client.quit();
    await server.stop();
  });

  test('is one for all instances', async () => {
    const [one, other] = [await open(), await open()];
    const start = await one.tail();
    expect(await other.tail()).toEqual(start);
    await Promise.all([one.append([event(1)]), other.append([event(2)])]);
    expect(await one.readAfter(start, 10)).toEqual(await other.readAfter(start, 10));
    expect(await one.readAfter(start, 10)).toHaveLength(2);
  });

  test('an instance is told at once of what another one appends', async () => {
    const [one, other] = [await open(), await open()];
    let told = 0;
    const stop = other.follow(() => {
      told += 1;
    });
    await eventually(async () => (await client.pubsub('NUMSUB', 'energex:events:grown'))[1] === 1);
    await one.append([event(1)]);
    // The look now and then is much slower than that.
    await eventually(async () => told > 0, 500);
    stop();
  });

  test('flushed, or its state evicted: another epoch', async () => {
    const log = await open();
    for (const lose of [() => client.flushdb(), () => client.del(state)]) {
      await log.append([event(1), event(2)]);
      const before = await log.tail();
      await lose();
      expect(await log.readAfter(before, 10)).toBeNull();
      const after = await log.tail();
      expect(after).toEqual({ epoch: expect.not.stringMatching(before.epoch), offset: 0 });
      await log.append([event(3)]);
      expect(await log.readAfter(after, 10)).toHaveLength(1);
    }
  });

  test('broken, or with something else in its place: another epoch', async () => {
    const log = await open();
    const damages = [
      () => client.multi().del(state).set(state, 'x').exec(),
      () => client.multi().del(stream).rpush(stream, 'x').exec(),
      () => client.hdel(state, 'counter'),
      () => client.hset(state, 'tail', 'x'),
    ];
    for (const damage of damages) {
      await log.append([event(1), event(2)]);
      const before = await log.tail();
      await damage();
      expect(await log.readAfter(before, 10)).toBeNull();
      const after = await log.tail();
      expect(after).toEqual({ epoch: expect.not.stringMatching(before.epoch), offset: 0 });
      await log.append([event(3)]);
      expect(await log.readAfter(after, 10)).toHaveLength(1);
    }
  });

  test('with entries of somebody else in it: nobody is given those, nor a part', async () => {
    const log = await open();
    await log.append([event(1)]);
    const before = await log.tail();
    await log.reserve();
    await client.xadd(stream, `${before.offset + 1}-0`, 'e', 'x');
    await log.append([event(2)]);
    expect(await log.readAfter(before, 10)).toBeNull();
    const between = await log.tail();
    // Ours go on behind it, and it makes room as they do.
    await log.append(Array.from({ length: boundsUnderTest.mostEntries }, (_, nth) => event(nth)));
    expect((await client.xrange(stream, '-', '+')).every(([, fields]) => fields.length === 10)).toBe(true);
    expect((await log.tail()).epoch).toBe(between.epoch);
    // By the clock: ours would have to be smaller.
    await client.xadd(stream, '*', 'e', 'x', 'd', 'x', 'v', '1', 'r', '', 't', '1');
    await log.append([event(3), event(4)]);
    const after = await log.tail();
    expect(after.epoch).not.toBe(between.epoch);
    expect(await log.readAfter({ ...after, offset: 0 }, 10)).toMatchObject([{ data: '3' }, { data: '4' }]);
  });

  test('an event that cannot be stored is told, and takes nothing with it', async () => {
    const log = await open();
    await log.append([event(1)]);
    const before = await log.tail();
    await client.config('SET', 'maxmemory', '1');
    await expect(log.append([event(2)])).rejects.toThrow(/OOM/);
    await client.config('SET', 'maxmemory', '0');
    expect(await log.readAfter(before, 10)).toEqual([]);
    await log.append([event(3)]);
    expect(await log.readAfter(before, 10)).toMatchObject([{ data: '3' }]);
  });

  test('the entries evicted: who has heard all goes on, and nobody is given a part', async () => {
    const log = await open();
    const start = await log.tail();
    await log.append([event(1), event(2)]);
    const heard = await log.tail();
    await client.del(stream);
    expect(await log.readAfter(start, 10)).toBeNull();
    expect(await log.readAfter(heard, 10)).toEqual([]);
    await log.append([event(3)]);
    expect(await log.readAfter(start, 10)).toBeNull();
    expect(await log.readAfter(heard, 10)).toMatchObject([{ data: '3' }]);
  });

  test('another Redis was in use meanwhile: what was written there is missing, so the epoch is another', async () => {
    const before = await open();
    await before.append([event(1)]);
    const position = await before.tail();
    generation = '2';
    const after = await open();
    expect(await after.readAfter(position, 10)).toBeNull();
    expect((await after.tail()).epoch).not.toBe(position.epoch);
  });

  test('entries that nobody adds to are gone after a time, the state stays', async () => {
    const log = await open();
    await log.append([event(1)]);
    expect(await client.pttl(stream)).toBeGreaterThan(boundsUnderTest.longestMs - 5_000);
    expect(await client.pttl(state)).toBe(-1);
  });

  test('a Redis that cannot be reached says so', async () => {
    const own = await startRedis({ ownProcess: true });
    const store = openRedisStore(own, { timeoutMs: 200, bulkTimeoutMs: 200 });
    stores.push(store);
    await trusted(store);
    const log = store.openEventLog(boundsUnderTest);
    await own.stop();
    await expect(log.append([event(1)])).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(log.tail()).rejects.toBeInstanceOf(StoreUnavailable);
  });
});
