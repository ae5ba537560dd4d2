import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { Cache } from '../../src/cache/cache.ts';
import { systemClock } from '../../src/cache/clock.ts';
import type { RedisAddress } from '../../src/config.ts';
import type { ClaimPort } from '../../src/redis/claim.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { fenceTableOf, slotOf } from '../../src/redis/slots.ts';
import { describeCacheStore } from '../contracts/cache-store.ts';
import { MemoryOutbox, published } from '../harness/engine.ts';
import { eventually } from '../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisCluster, startRedisCluster } from '../harness/redis-cluster.ts';
import type { RedisServer } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';

const startTimeoutMs = 60_000;

describeCacheStore('the Redis store on a cluster', async () => {
  const cluster = await startRedisCluster({ replicas: false });
  const store = openRedisStore(from(nodeAt(cluster, 0)));
  await trusted(store);
  return {
    store,
    // All nodes are on this machine and take their time from it.
    elapse: (ms) => new Promise((resolve) => setTimeout(resolve, ms + 20)),
    close: async () => {
      await store.close();
      await cluster.stop();
    },
  };
});

function nodeAt({ masters }: RedisCluster, index: number): RedisServer {
  const node = masters[index];
  if (node === undefined) throw new RangeError(`no master ${index}`);
  return node;
}

function from({ host, port }: RedisServer): RedisAddress {
  return { kind: 'cluster', nodes: [{ host, port }] };
}

/** A name whose slot is on the master of this index, each with a third of the slots. */
function nameOn(index: number, stem = 'post'): string {
  for (let id = 1; ; id += 1) {
    const name = `${stem}:${id}`;
    if (Math.floor((slotOf(name) * 3) / 16_384) === index) return name;
  }
}

describe('the Redis store on a cluster of three masters and three replicas', () => {
  let leaks: LeakCheck;
  let cluster: RedisCluster;
  const stores: RedisStore[] = [];

  beforeAll(() => {
    leaks = trackLeaks(3_000);
  });
  beforeEach(async () => {
    cluster = await startRedisCluster();
  }, startTimeoutMs);
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await cluster.stop();
  });
  afterAll(() => leaks.check());

  const open = async (...args: [RedisServer?, Parameters<typeof openRedisStore>[1]?]): Promise<RedisStore> => {
    const store = openRedisStore(from(args[0] ?? nodeAt(cluster, 0)), args[1]);
    stores.push(store);
    await trusted(store);
    return store;
  };

  test(
    'names are spread over the nodes, each beside its guard and the fence table of its slot; a replica will do to find them',
    async () => {
      const store = await open(cluster.replicas[2]);
      const names = [0, 1, 2].map((index) => nameOn(index));
      for (const name of names) await put(store, name, name);
      for (const [index, name] of names.entries()) {
        const keys = await cluster.on(nodeAt(cluster, index), (client) => client.keys('*'));
        expect(keys.toSorted()).toEqual([fenceTableOf(slotOf(name)), name, `{${name}}:guard`].toSorted());
      }
      await store.fence(names, 'writer', 30_000);
      for (const name of names) expect(await store.acquire(name, 1_000)).toEqual({ kind: 'bypass' });
      await store.release(names, 'writer');
      for (const name of names) expect((await store.acquire(name, 1_000)).kind).toBe('lease');
    },
    startTimeoutMs,
  );

  test(
    'a slot that moves takes its keys along: redirected while it moves and after it, nothing stale, nothing lost',
    async () => {
      const store = await open();
      const [moving, staying] = [nameOn(0), nameOn(0, 'other')];
      const slot = slotOf(moving);
      await put(store, moving, 'old');
      await put(store, staying, 'stays');
      const [from, to] = [nodeAt(cluster, 0), nodeAt(cluster, 1)];
      const [fromId, toId] = await Promise.all(
        [from, to].map((node) => cluster.on(node, async (client) => String(await client.call('CLUSTER', 'MYID')))),
      );
      const setSlot = (node: RedisServer, ...args: (string | number | undefined)[]): Promise<unknown> =>
        cluster.on(node, (client) => client.call('CLUSTER', 'SETSLOT', slot, ...args.map(String)));
      await setSlot(to, 'IMPORTING', fromId);
      await setSlot(from, 'MIGRATING', toId);
      // Not a key has moved yet.
      expect((await store.read(moving))?.value.toString()).toBe('old');
      await cluster.on(from, async (client) => {
        const keys = await client.cluster('GETKEYSINSLOT', slot, 100);
        expect(keys).toHaveLength(3);
        await client.call('MIGRATE', to.host, to.port, '', 0, 5_000, 'KEYS', ...keys);
      });
      // All of them have: the old node asks to ask the new one, whose run the version is not of.
      expect(await store.validate(moving)).toBeNull();
      await store.fence([moving, staying], 'writer', 30_000);
      // A script goes through only where all its keys are, and the value is nowhere now.
      await expect(store.acquire(moving, 1_000)).rejects.toThrow('TRYAGAIN');
      expect(store.downReason).toBeUndefined();
      await expect(store.release([moving, staying], 'writer')).rejects.toThrow('TRYAGAIN');
      // What could not be deleted must not be served.
      expect(store.downReason).toContain('TRYAGAIN');
      await setSlot(to, 'NODE', toId);
      await setSlot(from, 'NODE', toId);
      await trusted(store);
      expect(await store.acquire(moving, 1_000)).toEqual({ kind: 'bypass' });
      await store.release([moving, staying], 'writer');
      await put(store, moving, 'new');
      expect((await store.read(moving))?.value.toString()).toBe('new');
      expect(await cluster.on(to, (client) => client.get(moving))).toBe('new');
    },
    startTimeoutMs,
  );

  test(
    'a master that dies: its keys are unavailable, the others are not, and its replica takes over with nothing of before',
    async () => {
      const store = await open();
      const [lost, kept] = [nameOn(1), nameOn(0)];
      await put(store, lost, 'old');
      await put(store, kept, 'kept');
      const replica = cluster.replicas[1];
      if (replica === undefined) throw new Error('no replica');
      const onReplica = new Redis({ host: replica.host, port: replica.port });
      await onReplica.readonly();
      await eventually(async () => (await onReplica.get(lost)) === 'old');
      await nodeAt(cluster, 1).kill();
      await eventually(async () => store.downReason !== undefined);
      await expect(store.validate(lost)).rejects.toThrow();
      expect((await store.read(kept))?.value.toString()).toBe('kept');
      await eventually(async () => store.downReason === undefined, 30_000);
      // The promoted replica really has it, so the test is about its run id.
      expect(await onReplica.get(lost)).toBe('old');
      expect(await store.validate(lost)).toBeNull();
      await put(store, lost, 'new');
      expect(await onReplica.get(lost)).toBe('new');
      onReplica.disconnect();
    },
    startTimeoutMs,
  );

  test(
    'a node that comes back sweeps its own names of the outbox, even while another is away',
    async () => {
      const outbox = new MemoryOutbox();
      // Never swept but by recoveries.
      const options = {
        leaseMs: 1_000,
        fenceMs: 30_000,
        withoutStore: 'accept',
        memoryBytes: 0,
        auditShare: 0,
      } as const;
      const store: RedisStore = openRedisStore(from(nodeAt(cluster, 0)), { recover: (wanted) => cache.sweep(wanted) });
      stores.push(store);
      const cache = new Cache(store, outbox, systemClock, { ...options, memoryBytes: 1_000, sweepMs: 3_600_000 });
      await trusted(store);
      const [lost, back] = [nameOn(1), nameOn(2)];
      await put(store, back, 'old');
      await cluster.replicas[1]?.kill();
      await nodeAt(cluster, 1).kill();
      outbox.names.push(lost, back);
      const replacing = cluster.on(nodeAt(cluster, 2), (client) => client.call('CLIENT', 'KILL', 'TYPE', 'NORMAL'));
      await replacing.catch(() => undefined);
      await eventually(async () => !outbox.names.includes(back), 20_000);
      expect(outbox.names).toEqual([lost]);
      await cache.close();
    },
    startTimeoutMs,
  );

  test(
    'no node is claimed: with what says which one server is in use they would put each other out of use',
    async () => {
      const claimed: string[] = [];
      const current = () => ({ run: claimed.at(-1) ?? '', generation: String(claimed.length), settled: true });
      const claim: ClaimPort = {
        make: async (run) => {
          claimed.push(run);
          return current();
        },
        read: async () => current(),
        settle: async () => undefined,
      };
      const store = await open(nodeAt(cluster, 0), { claim });
      const version = await put(store, nameOn(0), 'v');
      // A claim would be looked at twice a second.
      const since = performance.now();
      const events = await published(() => eventually(async () => performance.now() > since + 1_200));
      expect(events.filter(({ type }) => type === 'store')).toEqual([]);
      expect(claimed).toEqual([]);
      expect(await store.validate(nameOn(0))).toBe(version);
      expect(store.run).toBeUndefined();
    },
    startTimeoutMs,
  );

  test(
    'slots that no node has, as while a replica is about to take over, are asked for again soon',
    async () => {
      const name = nameOn(0);
      const tell = (command: 'ADDSLOTS' | 'DELSLOTS', nodes: readonly RedisServer[]): Promise<unknown> =>
        Promise.all(nodes.map((node) => cluster.on(node, (client) => client.call('CLUSTER', command, slotOf(name)))));
      const all = [...cluster.masters, ...cluster.replicas];
      await tell('DELSLOTS', all);
      const store = openRedisStore(from(nodeAt(cluster, 0)));
      stores.push(store);
      await eventually(async () => store.downReason === `1 slots have no node, ${slotOf(name)} for one`);
      await expect(store.read(name)).rejects.toThrow('no node of the cluster has the slot');
      await tell('ADDSLOTS', all.slice(0, 1));
      await trusted(store);
      await put(store, name, 'v');
      expect((await store.read(name))?.value.toString()).toBe('v');
    },
    startTimeoutMs,
  );

  test(
    'without any node left there is no store, and what is asked is refused at once',
    async () => {
      const store = await open();
      await put(store, nameOn(0), 'v');
      await Promise.all([...cluster.masters, ...cluster.replicas].map((node) => node.kill()));
      await eventually(async () => /no node of the cluster answers/.test(store.downReason ?? ''), 20_000);
      await expect(store.ping()).rejects.toThrow();
      const never = openRedisStore(from(nodeAt(cluster, 0)));
      stores.push(never);
      await expect(never.ping()).rejects.toThrow('no node of the cluster is known');
      await expect(never.read(nameOn(0))).rejects.toThrow('no node of the cluster has the slot');
      await expect(store.fence([nameOn(0)], 'writer', 1_000)).rejects.toMatchObject({ name: 'StoreUnavailable' });
      // Closed while it asks around.
      const asking = expect(store.releaseAll('name')).rejects.toMatchObject({ name: 'StoreUnavailable' });
      await store.close();
      await asking;
      await expect(never.releaseAll('name')).rejects.toThrow('some slots of the cluster have no node');
    },
    startTimeoutMs,
  );
});
