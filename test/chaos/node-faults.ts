import { slotOf } from '../../src/redis/slots.ts';
import { eventually } from '../harness/eventually.ts';
import type { RedisCluster } from '../harness/redis-cluster.ts';
import type { RedisServer } from '../harness/redis-server.ts';
import type { Chance } from './chance.ts';
import type { Cluster } from './cluster.ts';
import type { Fault } from './fault.ts';

/** What happens to the nodes of a Redis Cluster: slots that move, masters that die or sleep. */
const base = { isAsymmetric: false, redis: 'cluster', losesRedis: false, lastsMs: 300 } as const;

const pauseMs = 300;

function pause(ms = pauseMs): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function nodesOf({ nodes }: Cluster): RedisCluster {
  if (nodes === undefined) throw new Error('there is no Redis Cluster');
  return nodes;
}

/** A slot on its way from one master to another, step by step, as `redis-cli --cluster reshard` does it. */
class Migration {
  readonly #cluster: RedisCluster;
  readonly #slot: number;
  readonly #from: RedisServer;
  readonly #to: RedisServer;
  readonly #ids: ReadonlyMap<RedisServer, string>;

  private constructor(cluster: RedisCluster, slot: number, ids: ReadonlyMap<RedisServer, string>, owner: RedisServer) {
    const others = cluster.masters.filter((each) => each !== owner);
    const to = others[slot % others.length];
    if (to === undefined) throw new Error('there is no other master');
    this.#cluster = cluster;
    this.#slot = slot;
    this.#ids = ids;
    this.#from = owner;
    this.#to = to;
  }

  /** Of the slot that this name is in. */
  static async ofName(cluster: RedisCluster, name: string): Promise<Migration> {
    const { masters, on } = cluster;
    const slot = slotOf(name);
    const ids = new Map<RedisServer, string>();
    for (const each of masters) ids.set(each, String(await on(each, (client) => client.call('CLUSTER', 'MYID'))));
    const [first] = masters;
    const port = first === undefined ? 0 : await cluster.ownerOf(slot, first);
    const owner = masters.find((each) => each.port === port);
    if (owner === undefined) throw new Error(`no master has slot ${slot}`);
    return new Migration(cluster, slot, ids, owner);
  }

  /** From here on the nodes send clients to and fro. */
  async open(): Promise<void> {
    await this.#set(this.#to, 'IMPORTING', this.#ids.get(this.#from));
    await this.#set(this.#from, 'MIGRATING', this.#ids.get(this.#to));
  }

  /** Moves so many of the keys that are there now. */
  async moveKeys(most = Number.POSITIVE_INFINITY): Promise<void> {
    await this.#cluster.on(this.#from, async (client) => {
      for (let moved = 0; moved < most; ) {
        const keys = await client.cluster('GETKEYSINSLOT', this.#slot, Math.min(most - moved, 10));
        if (keys.length === 0) return;
        await client.call('MIGRATE', this.#to.host, this.#to.port, '', 0, 5_000, 'REPLACE', 'KEYS', ...keys);
        moved += keys.length;
      }
    });
  }

  /** The slot is the other node's. New keys may have come to the old one until now. */
  async close(): Promise<void> {
    await this.moveKeys();
    for (const node of [this.#to, this.#from, ...this.#cluster.masters]) {
      await this.#set(node, 'NODE', this.#ids.get(this.#to));
    }
  }

  /** It stays where it was. */
  async giveUp(): Promise<void> {
    await this.#set(this.#from, 'STABLE');
    await this.#set(this.#to, 'STABLE');
  }

  async #set(node: RedisServer, ...args: (string | undefined)[]): Promise<void> {
    await this.#cluster.on(node, (client) => client.call('CLUSTER', 'SETSLOT', this.#slot, ...args.map(String)));
  }
}

const movedSlot: Fault = {
  ...base,
  name: 'the slot of a row moves to another master',
  async begin(cluster, chance) {
    const migration = await Migration.ofName(nodesOf(cluster), rowName(cluster, chance));
    await migration.open();
    await pause();
    await migration.moveKeys(1);
    await pause();
    await migration.moveKeys();
    await pause();
    return () => migration.close();
  },
};

/** Long enough for entries to come and go. */
const halfWaySlot: Fault = {
  ...base,
  name: 'the slot of a row stays half-way, one of its keys at the other master',
  lastsMs: 2_000,
  async begin(cluster, chance) {
    const migration = await Migration.ofName(nodesOf(cluster), rowName(cluster, chance));
    await migration.open();
    await migration.moveKeys(1);
    return () => migration.close();
  },
};

/** Nothing has moved but what was written at the other master; that is left behind there, as a crash of redis-cli leaves it. */
const givenUpMove: Fault = {
  ...base,
  name: 'the move of a slot is given up before a key has moved',
  lastsMs: 600,
  async begin(cluster, chance) {
    const migration = await Migration.ofName(nodesOf(cluster), rowName(cluster, chance));
    await migration.open();
    return () => migration.giveUp();
  },
};

const listSlot: Fault = {
  ...base,
  name: 'the slots of the list and of the event log move',
  async begin(cluster) {
    const names = ['posts:all', 'energex:events'];
    const migrations: Migration[] = [];
    for (const name of names) migrations.push(await Migration.ofName(nodesOf(cluster), name));
    for (const each of migrations) await each.open();
    await pause();
    for (const each of migrations) await each.moveKeys();
    return async () => {
      for (const each of migrations) await each.close();
    };
  },
};

function rowName(cluster: Cluster, chance: Chance): string {
  return `post:${chance.pick(cluster.rows)}`;
}

const takeOverMs = 30_000;

/** Once per cluster: the replica is used up by it. */
function takenOver(
  how: string,
  stop: (master: RedisServer) => Promise<void>,
  revive: (master: RedisServer) => Promise<void>,
): Fault {
  return {
    ...base,
    name: `a master of the Redis Cluster ${how}, and its replica takes over`,
    losesRedis: true,
    lastsMs: 0,
    async begin(cluster) {
      const { masters, replicas, ownerOf } = nodesOf(cluster);
      // The one that has the row which is watched.
      const slot = slotOf(`post:${cluster.watchedRow}`);
      const [first] = masters;
      const port = first === undefined ? undefined : await ownerOf(slot, first);
      const index = masters.findIndex((each) => each.port === port);
      const [master, replica] = [masters[index], replicas[index]];
      if (master === undefined || replica === undefined) throw new Error(`no master and replica of slot ${slot}`);
      await stop(master);
      await eventually(async () => (await ownerOf(slot, replica)) === replica.port, takeOverMs);
      return () => revive(master);
    },
  };
}

export const nodeFaults: readonly Fault[] = [
  movedSlot,
  halfWaySlot,
  givenUpMove,
  listSlot,
  takenOver(
    'is killed',
    (master) => master.kill(),
    async () => undefined,
  ),
  takenOver(
    'is asleep',
    (master) => master.pause(),
    (master) => master.resume(),
  ),
];
