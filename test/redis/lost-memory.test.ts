import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import type { RedisStore } from '../../src/redis/store.ts';
import { eventually } from '../harness/eventually.ts';
import { openRedisStore, type StoreOptions, trusted } from '../harness/redis-store.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { stopAfterEach } from '../harness/stops.ts';

const fill = (text: string) => ({ value: Buffer.from(text), meta: '', ttlMs: 60_000, loadMs: 1 });

/** A barrier that stays shut until it is told, and counts who comes. */
function closedBarrier() {
  let asked = 0;
  let gate = Promise.withResolvers<void>();
  return {
    get asked() {
      return asked;
    },
    barrier: async () => {
      asked += 1;
      await gate.promise;
      return true;
    },
    open: () => gate.resolve(),
    shut: () => {
      gate = Promise.withResolvers<void>();
    },
  };
}

/** A barrier that is passed until it is told to fail. */
function failingLater(fail: () => Promise<boolean> = () => Promise.reject(new Error('the database is away'))) {
  const state = { fails: false, barrier: async () => (state.fails ? await fail() : true) };
  return state;
}

describe('a server that has lost its memory, and perhaps a fence whose COMMIT is out', () => {
  let server: RedisServer;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis({ ownProcess: true });
    client = new Redis(server.url);
  });
  beforeEach(() => client.flushall());
  afterAll(async () => {
    await client.quit();
    await server.stop();
  });
  const stopping = stopAfterEach();

  const open = async (options: StoreOptions = {}): Promise<RedisStore> => {
    const store = openRedisStore(server, options);
    stopping.push(() => store.close());
    await trusted(store);
    return store;
  };

  test.each([
    ['FLUSHALL', () => client.flushall()],
    ['the eviction of the fence table', () => client.del('energex:fences')],
    ['another type in its place', () => client.multi().del('energex:fences').set('energex:fences', 'x').exec()],
    ['a table without its epoch', () => client.hdel('energex:fences', 'epoch')],
    ['a table that opens never', () => client.hset('energex:fences', 'opens_at', 'x')],
  ])('%s: nothing is stored until the barrier has been passed', async (_what, lose) => {
    const gate = closedBarrier();
    gate.open();
    const away = failingLater();
    const [writer, reader] = [await open(), await open({ barrier: gate.barrier })];
    const bypassing = await open({ barrier: away.barrier });
    gate.shut();
    away.fails = true;
    await writer.fence(['k'], 'writer', 30_000);
    expect(await reader.acquire('k', 1_000)).toEqual({ kind: 'bypass' });
    await lose();
    const asked = gate.asked;
    const acquiring = reader.acquire('k', 1_000);
    await eventually(async () => gate.asked === asked + 1);
    // Another key, another instance: the table is one for all.
    expect(await bypassing.acquire('other', 1_000)).toEqual({ kind: 'bypass' });
    gate.open();
    expect((await acquiring).kind).toBe('lease');
    expect((await bypassing.acquire('other', 1_000)).kind).toBe('lease');
  });

  test('a loader whose lease is older than the loss cannot store either', async () => {
    const store = await open();
    const acquired = await store.acquire('k', 5_000);
    await client.del('energex:fences');
    const token = acquired.kind === 'lease' ? acquired.token : '';
    expect(await store.fill('k', token, fill('old'))).toEqual({ stored: false, reason: 'unsettled' });
    expect(await store.read('k')).toBeNull();
  });

  test('entries that are there are still served: a fence would have taken them away', async () => {
    const away = failingLater();
    const store = await open({ barrier: away.barrier });
    away.fails = true;
    const acquired = await store.acquire('k', 5_000);
    await store.fill('k', acquired.kind === 'lease' ? acquired.token : '', fill('v'));
    await client.del('energex:fences');
    expect((await store.read('k'))?.value.toString()).toBe('v');
    expect((await store.acquire('k', 1_000)).kind).toBe('hit');
    expect(await store.acquire('other', 1_000)).toEqual({ kind: 'bypass' });
  });

  test('a fence that is set after the loss stands in the new table, before and after it is opened', async () => {
    const gate = closedBarrier();
    const store = openRedisStore(server, { barrier: gate.barrier });
    stopping.push(() => store.close());
    await eventually(async () => gate.asked === 1);
    await store.fence(['k'], 'writer', 30_000);
    gate.open();
    await trusted(store);
    expect(await store.acquire('k', 1_000)).toEqual({ kind: 'bypass' });
    await store.release(['k'], 'writer');
    expect((await store.acquire('k', 1_000)).kind).toBe('lease');
  });

  test('a barrier that was passed for a table that was lost again meanwhile opens nothing', async () => {
    const gate = closedBarrier();
    gate.open();
    const away = failingLater();
    const [store, other] = [await open({ barrier: gate.barrier }), await open({ barrier: away.barrier })];
    gate.shut();
    away.fails = true;
    await client.flushall();
    const asked = gate.asked;
    const acquiring = store.acquire('k', 1_000);
    await eventually(async () => gate.asked === asked + 1);
    const [first] = await client.hmget('energex:fences', 'epoch');
    await client.flushall();
    expect(await other.acquire('k', 1_000)).toEqual({ kind: 'bypass' });
    expect(await client.hget('energex:fences', 'epoch')).not.toBe(first);
    const table = await client.hgetall('energex:fences');
    gate.open();
    // It asks again, finds the new table, and waits for a barrier of its own: the second one, which is open by now.
    expect((await acquiring).kind).toBe('bypass');
    expect(await client.hgetall('energex:fences')).toEqual(table);
  });

  test('without a barrier the table opens by itself when no COMMIT can be out any more', async () => {
    const away = failingLater();
    const store = await open({ fenceMs: 300, barrier: away.barrier });
    away.fails = true;
    await client.flushall();
    expect(await store.acquire('k', 1_000)).toEqual({ kind: 'bypass' });
    await eventually(async () => (await store.acquire('k', 1_000)).kind === 'lease');
  });

  test('a reader waits for the barrier no longer than for a large value', async () => {
    const gate = closedBarrier();
    gate.open();
    const store = await open({ bulkTimeoutMs: 200, barrier: gate.barrier });
    gate.shut();
    await client.flushall();
    expect(await store.acquire('k', 1_000)).toEqual({ kind: 'bypass' });
    gate.open();
    await eventually(async () => (await store.acquire('k', 1_000)).kind === 'lease');
  });

  test('a server that is gone when the barrier has been passed is asked anew later', async () => {
    const gate = closedBarrier();
    gate.open();
    const store = await open({ barrier: gate.barrier });
    gate.shut();
    await client.flushall();
    const asked = gate.asked;
    const acquiring = store.acquire('k', 1_000);
    await eventually(async () => gate.asked === asked + 1);
    await server.restart();
    gate.open();
    expect(await acquiring).toEqual({ kind: 'bypass' });
    await trusted(store);
    expect((await store.acquire('k', 1_000)).kind).toBe('lease');
  });

  test('a barrier that somebody holds too long is left alone for a while: it makes the writers wait', async () => {
    let asked = 0;
    const held = failingLater(async () => {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return false;
    });
    const store = await open({ barrier: held.barrier });
    held.fails = true;
    await client.flushall();
    for (let turn = 0; turn < 20; turn += 1) {
      expect(await store.acquire(`k${turn}`, 1_000)).toEqual({ kind: 'bypass' });
    }
    expect(asked).toBe(1);
  });

  test('what dead writers left in the fence table goes when others write', async () => {
    const store = await open();
    for (let count = 0; count < 50; count += 1) await store.fence([`dead:${count}`], 'dead', 1);
    await eventually(async () => {
      await client.hset('energex:fences', 'tidied_at', '0');
      await store.fence(['k'], 'writer', 30_000);
      const left = Object.keys(await client.hgetall('energex:fences')).filter((field) => field.startsWith('{'));
      expect(left).toContain('{k}:guard');
      return left.length === 1;
    });
  });

  test('a table of another run of the server, out of an old snapshot, is none', async () => {
    const store = await open();
    await store.fence(['k'], 'writer', 30_000);
    await client.hset('energex:fences', 'run', '0'.repeat(40));
    expect((await store.acquire('k', 1_000)).kind).toBe('lease');
    const table = await client.hgetall('energex:fences');
    expect(table['run']).toContain(/run_id:(\w+)/.exec(await client.info('server'))?.[1]);
    expect(table['{k}:guard']).toBeUndefined();
  });
});
