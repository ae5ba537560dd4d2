import type { Redis } from 'ioredis';
import type { Certificates } from './certificates.ts';
import { eventually } from './eventually.ts';
import { findFreePort } from './free-port.ts';
import { type RedisServer, startRedis, withClient } from './redis-server.ts';

/** A Redis Cluster of our own on the loopback: masters with an equal share of the slots each, and a replica for each. */
export type RedisCluster = {
  readonly masters: readonly RedisServer[];
  /** `replicas[n]` follows `masters[n]`. */
  readonly replicas: readonly RedisServer[];
  /** Runs commands on one node. */
  on<T>(node: RedisServer, use: (client: Redis) => Promise<T>): Promise<T>;
  /** Which node has the slot, as `node` sees it. */
  ownerOf(slot: number, node: RedisServer): Promise<number | undefined>;
  stop(): Promise<void>;
};

const slotCount = 16_384;
const nodeTimeoutMs = 1_000;
const formTimeoutMs = 30_000;

export async function startRedisCluster({
  replicas: withReplicas = true,
  tls,
}: {
  replicas?: boolean;
  tls?: Certificates;
} = {}): Promise<RedisCluster> {
  const count = 3;
  const masters = await startNodes(count, tls);
  const replicas = withReplicas ? await startNodes(count, tls) : [];
  const nodes = [...masters, ...replicas];
  const stop = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
  };
  try {
    await join(masters, replicas);
  } catch (error) {
    await stop();
    throw error;
  }
  return { masters, replicas, on: onNode, ownerOf, stop };
}

async function startNodes(count: number, tls: Certificates | undefined): Promise<RedisServer[]> {
  return await Promise.all(
    Array.from({ length: count }, async () => {
      // The default is the port plus 10,000, which may be taken.
      const busPort = await findFreePort();
      const config = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)];
      const quick = ['--cluster-node-timeout', String(nodeTimeoutMs), '--repl-diskless-sync-delay', '0'];
      const secure = tls === undefined ? [] : ['--tls-cluster', 'yes'];
      return await startRedis({
        ownProcess: true,
        config: [...config, ...quick, ...secure],
        ...(tls === undefined ? {} : { tls }),
      });
    }),
  );
}

async function join(masters: readonly RedisServer[], replicas: readonly RedisServer[]): Promise<void> {
  const [first, ...others] = [...masters, ...replicas];
  if (first === undefined) return;
  for (const [index, master] of masters.entries()) {
    const from = Math.floor((index * slotCount) / masters.length);
    const to = Math.floor(((index + 1) * slotCount) / masters.length) - 1;
    await onNode(master, async (client) => {
      await client.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', index + 1);
    });
  }
  for (const other of others) {
    await onNode(first, async (client) => {
      await client.call('CLUSTER', 'MEET', other.host, other.tlsPort || other.port, await busPortOf(other));
    });
  }
  for (const [index, replica] of replicas.entries()) {
    const master = masters[index];
    if (master === undefined) continue;
    const id = await onNode(master, (client) => client.call('CLUSTER', 'MYID'));
    // It must have heard of its master first.
    await eventually(
      () =>
        onNode(replica, (client) => client.call('CLUSTER', 'REPLICATE', String(id))).then(
          () => true,
          () => false,
        ),
      formTimeoutMs,
    );
  }
  await eventually(async () => {
    const ready = await Promise.all([first, ...others].map((node) => isReady(node, masters.length + replicas.length)));
    return ready.every(Boolean);
  }, formTimeoutMs);
}

async function busPortOf(node: RedisServer): Promise<number> {
  return await onNode(node, async (client) => {
    const reply: unknown = await client.config('GET', 'cluster-port');
    return Array.isArray(reply) ? Number(reply[1]) : 0;
  });
}

async function isReady(node: RedisServer, nodeCount: number): Promise<boolean> {
  return await onNode(node, async (client) => {
    const info = String(await client.call('CLUSTER', 'INFO'));
    const replication = await client.info('replication');
    return (
      info.includes('cluster_state:ok') &&
      info.includes(`cluster_known_nodes:${nodeCount}`) &&
      !replication.includes('master_link_status:down')
    );
  });
}

async function ownerOf(slot: number, node: RedisServer): Promise<number | undefined> {
  return await onNode(node, async (client) => {
    const rows = await client.cluster('SLOTS');
    const row = rows.find(([first, last]) => first <= slot && slot <= last);
    return row?.[2]?.[1];
  });
}

function onNode<T>({ host, port }: RedisServer, use: (client: Redis) => Promise<T>): Promise<T> {
  return withClient(`redis://${host}:${port}`, use);
}
