import { eventually } from '../harness/eventually.ts';
import type { Cluster } from './cluster.ts';
import type { Fault } from './fault.ts';

/** Servers that stop, die, forget, and come back with what they should have forgotten. */
const base = { isAsymmetric: false, redis: 'any', lastsMs: 1_000 } as const;

const pausedRedis: Fault = {
  ...base,
  name: 'SIGSTOP of Redis',
  losesRedis: true,
  redis: 'single',
  lastsMs: 2_000,
  async begin(cluster) {
    await cluster.redis.pause();
    return () => cluster.redis.resume();
  },
};

/** So short that no connection is given up: what was sent meanwhile is done afterwards. */
const hiccup: Fault = { ...pausedRedis, name: 'SIGSTOP of Redis, for a moment', lastsMs: 350 };

const pausedDatabase: Fault = {
  ...base,
  name: 'SIGSTOP of the database',
  losesRedis: false,
  lastsMs: 2_000,
  async begin(cluster) {
    await cluster.database.pause();
    return () => cluster.database.resume();
  },
};

const killedDatabase: Fault = {
  ...base,
  name: 'kill -9 of the database',
  losesRedis: false,
  lastsMs: 500,
  async begin(cluster) {
    await cluster.database.kill();
    return () => cluster.database.restart();
  },
};

const flushed: Fault = {
  ...base,
  name: 'FLUSHALL',
  losesRedis: false,
  lastsMs: 300,
  async begin(cluster) {
    await cluster.askRedis('FLUSHALL');
    return async () => undefined;
  },
};

const fillers = 400;
const fillerBytes = 2_000;
const fillEveryMs = 5;

/** Values, guards and the fence table are thrown out at any time. */
function eviction(policy: 'allkeys-lru' | 'allkeys-random'): Fault {
  return {
    ...base,
    name: `eviction under a small maxmemory with ${policy}`,
    losesRedis: false,
    redis: 'one server',
    lastsMs: 2_000,
    async begin(cluster, chance) {
      const memory = /^used_memory:(\d+)/m.exec(String(await cluster.askRedis('INFO', 'memory')))?.[1];
      await cluster.askRedis('CONFIG', 'SET', 'maxmemory-policy', policy);
      await cluster.askRedis('CONFIG', 'SET', 'maxmemory', String(Number(memory) + 30_000));
      const filler = { isGoing: true };
      const fill = async (): Promise<void> => {
        while (filler.isGoing) {
          const batch = Array.from({ length: 20 }, () => [`filler:${chance.below(fillers)}`, 'x'.repeat(fillerBytes)]);
          await cluster.askRedis('MSET', ...batch.flat()).catch(() => undefined);
          await new Promise((resolve) => setTimeout(resolve, fillEveryMs));
        }
      };
      const filling = fill();
      return async () => {
        filler.isGoing = false;
        await filling;
        const evicted = /^evicted_keys:(\d+)/m.exec(String(await cluster.askRedis('INFO', 'stats')))?.[1];
        if (Number(evicted) === 0) throw new Error('nothing was evicted');
        await cluster.askRedis('CONFIG', 'SET', 'maxmemory', '0');
        await cluster.askRedis('UNLINK', ...Array.from({ length: fillers }, (_, index) => `filler:${index}`));
      };
    },
  };
}

/** Answers reads, refuses writes. */
const outOfMemory: Fault = {
  ...base,
  name: 'Redis is out of memory and refuses writes',
  losesRedis: true,
  async begin(cluster) {
    await cluster.askRedis('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await cluster.askRedis('CONFIG', 'SET', 'maxmemory', '1');
    return async () => {
      await cluster.askRedis('CONFIG', 'SET', 'maxmemory', '0');
    };
  },
};

const writeOnMs = 1_000;

export async function saveSnapshot(cluster: Cluster): Promise<void> {
  await cluster.askRedis('SAVE');
  // What the snapshot holds is to become old.
  await new Promise((resolve) => setTimeout(resolve, writeOnMs));
}

export async function restartFromSnapshot(cluster: Cluster): Promise<void> {
  await cluster.redis.kill();
  await cluster.redis.restart();
}

const oldSnapshot: Fault = {
  ...base,
  name: 'a Redis restart that loads an old snapshot',
  losesRedis: true,
  redis: 'single',
  lastsMs: 300,
  async begin(cluster) {
    await saveSnapshot(cluster);
    await cluster.redis.kill();
    return () => cluster.redis.restart();
  },
};

/** What the replica has not heard when it is promoted: fences, releases, invalidations. */
const missesMs = 1_000;
const promotionMs = 30_000;

/** Once per cluster, for the replica is used up by it. `stop` and `revive` are of the master. */
function failover(
  how: string,
  stop: (cluster: Cluster) => Promise<void>,
  revive: (cluster: Cluster) => Promise<void>,
): Fault {
  return {
    ...base,
    name: `a Sentinel failover to a replica that missed deletes; the master ${how}`,
    losesRedis: true,
    redis: 'sentinel',
    lastsMs: 0,
    async begin(cluster) {
      const { failover: way } = cluster;
      if (way === undefined) throw new Error('there is no Sentinel');
      way.wire.blackHole();
      await new Promise((resolve) => setTimeout(resolve, missesMs));
      await stop(cluster);
      await eventually(async () => (await way.sentinel.masterPort()) === way.replica.port, promotionMs);
      return async () => {
        await revive(cluster);
        way.promoted();
      };
    },
  };
}

const killedMaster = failover(
  'is killed',
  (cluster) => cluster.redis.kill(),
  async () => undefined,
);
const sleepingMaster = failover(
  'was only asleep',
  (cluster) => cluster.redis.pause(),
  (cluster) => cluster.redis.resume(),
);

export const serverFaults: readonly Fault[] = [
  pausedRedis,
  hiccup,
  pausedDatabase,
  killedDatabase,
  flushed,
  eviction('allkeys-lru'),
  eviction('allkeys-random'),
  outOfMemory,
  oldSnapshot,
  killedMaster,
  sleepingMaster,
];
