import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import type { Certificates } from './certificates.ts';
import { findFreePort, LOOPBACK } from './free-port.ts';
import { type RedisServer, startRedis, tlsArguments, withClient } from './redis-server.ts';
import { redisUnderTest } from './redis-under-test.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

/** A Sentinel of our own that watches `master`. */
export type RedisSentinel = {
  readonly host: string;
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  readonly name: string;
  /** The port of the master as it sees it. */
  masterPort(): Promise<number>;
  /** The replicas that it could promote. */
  replicas(): Promise<readonly unknown[]>;
  /** The other Sentinels that it knows of. */
  others(): Promise<readonly unknown[]>;
  stop(): Promise<void>;
};

const name = 'mymaster';

/** `downAfterMs`: how long the master must be silent before it is taken for dead. `quorum`: how many must find it so. */
export async function startSentinel(
  master: { host: string; port: number },
  { downAfterMs = 500, quorum = 1, tls }: { downAfterMs?: number; quorum?: number; tls?: Certificates } = {},
): Promise<RedisSentinel> {
  const binary = await redisUnderTest();
  const folder = await makeServerFolder('sentinel');
  const file = join(folder, 'sentinel.conf');
  await writeFile(
    file,
    [
      `sentinel monitor ${name} ${master.host} ${master.port} ${quorum}`,
      `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
      `sentinel failover-timeout ${name} 5000`,
      '',
    ].join('\n'),
  );
  const tlsPort = tls === undefined ? 0 : await findFreePort();
  const server = new ServerProcess({
    label: `Sentinel of ${binary.label} ${binary.version}`,
    command: binary.command,
    arguments: (port) => [
      ...binary.leadingArguments,
      file,
      '--sentinel',
      ...['--port', String(port), '--bind', LOOPBACK, '--dir', folder],
      ...(tls === undefined ? [] : tlsArguments(tlsPort, tls)),
    ],
    folder,
    probe: async (port) => {
      await withClient(`redis://${LOOPBACK}:${port}`, (client) => client.ping());
    },
    startTimeoutMs: 15_000,
  });
  await server.start();
  return {
    host: LOOPBACK,
    port: server.port,
    tlsPort,
    name,
    masterPort: () =>
      withClient(`redis://${LOOPBACK}:${server.port}`, async (client) => {
        const address: unknown = await client.call('SENTINEL', 'get-master-addr-by-name', name);
        return Array.isArray(address) ? Number(address[1]) : 0;
      }),
    replicas: () => ask(server.port, 'replicas'),
    others: () => ask(server.port, 'sentinels'),
    stop: () => server.stop(),
  };
}

async function ask(port: number, what: 'replicas' | 'sentinels'): Promise<readonly unknown[]> {
  return await withClient(`redis://${LOOPBACK}:${port}`, async (client) => {
    const reply: unknown = await client.call('SENTINEL', what, name);
    return Array.isArray(reply) ? reply : [];
  });
}

/** Two of three have to agree that a master is away. */
const sentinelCount = 3;
const meetTimeoutMs = 20_000;

/** Three Sentinels that watch `master`, and know of each other and of so many replicas. */
export async function startSentinelsOf(
  master: { host: string; port: number },
  replicaCount: number,
  stops: (() => Promise<void>)[],
): Promise<readonly RedisSentinel[]> {
  const sentinels: RedisSentinel[] = [];
  for (let count = 0; count < sentinelCount; count += 1) {
    const sentinel = await startSentinel(master, { quorum: 2 });
    stops.push(() => sentinel.stop());
    sentinels.push(sentinel);
  }
  // They hear of each other through the master.
  await eventually(async () => {
    const known = await Promise.all(sentinels.map((each) => Promise.all([each.replicas(), each.others()])));
    return known.every(([replicas, others]) => replicas.length === replicaCount && others.length === sentinelCount - 1);
  }, meetTimeoutMs);
  return sentinels;
}

/** A master, a replica, and three Sentinels that watch them. */
export async function startSentinels(): Promise<{
  readonly master: RedisServer;
  readonly sentinels: readonly RedisSentinel[];
  stop(): Promise<void>;
}> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).toReversed()) await each();
  };
  try {
    const [master, replica] = await Promise.all([startRedis({ ownProcess: true }), startRedis({ ownProcess: true })]);
    stops.push(master.stop, replica.stop);
    await follow(replica, master);
    return { master, sentinels: await startSentinelsOf(master, 1, stops), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Makes `replica` follow `master`; resolves when it has all of it. */
export async function follow(replica: RedisServer, master: { host: string; port: number }): Promise<void> {
  await withClient(replica.url, async (client) => {
    await client.replicaof(master.host, master.port);
    await eventually(async () => (await client.info('replication')).includes('master_link_status:up'));
  });
}
