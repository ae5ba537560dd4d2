import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/cache/clock.ts';
import type { ClaimPort } from '../../src/redis/claim.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { eventually } from '../harness/eventually.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { startProxy } from '../harness/tcp-proxy.ts';

const closers = stopAfterEach();

async function ownRedis(): Promise<RedisServer> {
  const server = await startRedis({ ownProcess: true });
  closers.push(() => server.stop());
  return server;
}

function openStore(at: { host: string; port: number }, claim?: ClaimPort): RedisStore {
  const store = openRedisStore(at, {
    connectTimeoutMs: 500,
    timeoutMs: 200,
    bulkTimeoutMs: 400,
    ...(claim === undefined ? {} : { claim }),
  });
  closers.push(() => store.close());
  return store;
}

function clientOf({ host, port }: RedisServer): Redis {
  const client = new Redis({ host, port });
  closers.push(async () => client.disconnect());
  return client;
}

/** As the database has it. */
function memoryClaim(): ClaimPort & { readonly generations: number } {
  let run = '';
  let generations = 0;
  let settled = true;
  const current = () => ({ run, generation: String(generations), settled });
  return {
    get generations() {
      return generations;
    },
    make: async (claimed) => {
      if (claimed !== run) {
        generations += 1;
        settled = run === '';
      }
      run = claimed;
      return current();
    },
    read: async () => current(),
    settle: async (generation) => {
      settled ||= generation === String(generations);
    },
  };
}

describe('the Redis store when its address leads to another master, or to none', () => {
  test('two connections that reached different servers are made anew until they reach one', async () => {
    const [first, second] = await Promise.all([ownRedis(), ownRedis()]);
    // A failover between the two connections: the first goes to the old server, all later ones to the new.
    let accepted = 0;
    const sockets = new Set<Socket>();
    const balancer = createServer((socket) => {
      accepted += 1;
      const upstream = connect(accepted === 1 ? first.port : second.port, '127.0.0.1');
      for (const each of [socket, upstream]) sockets.add(each.on('error', () => undefined));
      socket.pipe(upstream).pipe(socket);
      socket.on('close', () => upstream.destroy());
      upstream.on('close', () => socket.destroy());
    });
    balancer.listen(0, '127.0.0.1');
    await once(balancer, 'listening');
    closers.push(async () => {
      for (const socket of sockets) socket.destroy();
      balancer.close();
      await once(balancer, 'close');
    });
    const store = openStore({ host: '127.0.0.1', port: (balancer.address() as AddressInfo).port });
    await trusted(store);
    expect(accepted).toBeGreaterThan(2);
    await put(store, 'k', 'v');
    const client = clientOf(second);
    expect(await client.get('k')).toBe('v');
  });

  test('a master that becomes a replica without a word is not trusted any more, and again when it is a master', async () => {
    const server = await ownRedis();
    const store = openStore(server);
    await trusted(store);
    await put(store, 'k', 'v');
    const client = clientOf(server);
    // Its master is not even there: what matters is that this one no longer decides.
    await client.replicaof('127.0.0.1', 1);
    await eventually(async () => store.downReason === 'the server is not a master');
    await expect(store.validate('k')).rejects.toThrow('the server is not a master');
    // What it misses meanwhile it will never hear of, and its run id stays.
    const version = await client.hget('{k}:guard', 'version');
    await client.replicaof('NO', 'ONE');
    await trusted(store);
    expect(await client.hget('{k}:guard', 'version')).toBe(version);
    expect(await store.validate('k')).toBeNull();
    expect(await store.read('k')).toBeNull();
  });

  test('a master that was a replica for a moment, which nobody saw, is noticed by its replication id', async () => {
    const server = await ownRedis();
    const store = openStore(server);
    await trusted(store);
    await put(store, 'k', 'v');
    const client = clientOf(server);
    await client.multi().replicaof('127.0.0.1', 1).replicaof('NO', 'ONE').exec();
    await eventually(async () => (await store.validate('k').catch(() => 'not trusted')) === null);
    expect((await client.get('k'))?.toString()).toBe('v');
  });

  test('a master that the others have left is left too, though it does not know; what it holds is old when all are back', async () => {
    const [old, next] = await Promise.all([ownRedis(), ownRedis()]);
    const claim = memoryClaim();
    const proxy = await startProxy(old);
    closers.push(() => proxy.close());
    const [cutOff, moved] = [openStore(proxy, claim), openStore(old, claim)];
    await Promise.all([trusted(cutOff), trusted(moved)]);
    const before = await put(cutOff, 'k', 'old');
    expect(await moved.validate('k')).toBe(before);
    await moved.close();
    // The others are at the next master by now.
    const others = openStore(next, claim);
    await trusted(others);
    expect(claim.generations).toBe(2);
    proxy.leadTo(next);
    await eventually(async () => cutOff.downReason === 'another Redis is in use by now');
    await trusted(cutOff);
    const there = await put(cutOff, 'k', 'new');
    expect(await others.validate('k')).toBe(there);
    // All come back to the first one, which has missed what happened meanwhile.
    const back = openStore(old, claim);
    await trusted(back);
    expect(await back.validate('k')).toBeNull();
    expect(await clientOf(old).hget('{k}:guard', 'version')).toBe(before);
  });

  test('looks one at a time at what is claimed, however long the database takes', async () => {
    const probes: (() => void)[] = [];
    const every = (ms: number, task: () => void): (() => void) => {
      if (ms === 1_000) probes.push(task);
      return systemClock.every(ms, task);
    };
    const answer = Promise.withResolvers<void>();
    let looks = 0;
    const claim = memoryClaim();
    const slow: ClaimPort = {
      ...claim,
      read: async () => {
        looks += 1;
        await answer.promise;
        return await claim.read();
      },
    };
    const store = openRedisStore(await ownRedis(), { claim: slow, clock: { ...systemClock, every } });
    closers.push(() => store.close());
    await trusted(store);
    const [probe = () => undefined] = probes;
    probe();
    await eventually(async () => looks === 1);
    probe();
    await store.ping();
    expect(looks).toBe(1);
    answer.resolve();
    await eventually(async () => {
      probe();
      return looks > 1;
    });
  });

  test('a replica refuses the deletion: the connections are made anew, because the address may lead elsewhere by now', async () => {
    const [old, promoted] = await Promise.all([ownRedis(), ownRedis()]);
    const proxy = await startProxy(old);
    closers.push(() => proxy.close());
    const store = openStore(proxy);
    await trusted(store);
    const client = clientOf(old);
    proxy.leadTo(promoted);
    await client.replicaof(promoted.host, promoted.port);
    await expect(store.fence(['k'], 'writer', 1_000)).rejects.toThrow(/READONLY|not a master|not connected/);
    await trusted(store);
    const token = await put(store, 'k', 'v');
    const there = clientOf(promoted);
    expect(token).toContain(/run_id:(\w+)/.exec(await there.info('server'))?.[1]);
  });
});
