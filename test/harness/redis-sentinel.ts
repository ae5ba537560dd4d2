import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findRedisServer } from './binaries.ts';
import { eventually } from './eventually.ts';
import { LOOPBACK } from './free-port.ts';
import { type RedisServer, withClient } from './redis-server.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

/** One Sentinel of our own that watches `master`; it alone decides. */
export type RedisSentinel = {
  readonly host: string;
  readonly port: number;
  readonly name: string;
  /** The port of the master as it sees it. */
  masterPort(): Promise<number>;
  /** The replicas that it could promote. */
  replicas(): Promise<readonly unknown[]>;
  stop(): Promise<void>;
};

const name = 'mymaster';

/** `downAfterMs`: how long the master must be silent before it is taken for dead. */
export async function startSentinel(master: { host: string; port: number }, downAfterMs = 500): Promise<RedisSentinel> {
  const binary = await findRedisServer();
  const folder = await makeServerFolder('sentinel');
  const file = join(folder, 'sentinel.conf');
  await writeFile(
    file,
    [
      `sentinel monitor ${name} ${master.host} ${master.port} 1`,
      `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
      `sentinel failover-timeout ${name} 5000`,
      '',
    ].join('\n'),
  );
  const server = new ServerProcess({
    label: `Sentinel ${binary.version}`,
    command: binary.command,
    arguments: (port) => [
      ...binary.leadingArguments,
      file,
      '--sentinel',
      ...['--port', String(port), '--bind', LOOPBACK, '--dir', folder],
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
    name,
    masterPort: () =>
      withClient(`redis://${LOOPBACK}:${server.port}`, async (client) => {
        const address: unknown = await client.call('SENTINEL', 'get-master-addr-by-name', name);
        return Array.isArray(address) ? Number(address[1]) : 0;
      }),
    replicas: () =>
      withClient(`redis://${LOOPBACK}:${server.port}`, async (client) => {
        const replicas: unknown = await client.call('SENTINEL', 'replicas', name);
        return Array.isArray(replicas) ? replicas : [];
      }),
    stop: () => server.stop(),
  };
}

/** Makes `replica` follow `master`; resolves when it has all of it. */
export async function follow(replica: RedisServer, master: { host: string; port: number }): Promise<void> {
  await withClient(replica.url, async (client) => {
    await client.replicaof(master.host, master.port);
    await eventually(async () => (await client.info('replication')).includes('master_link_status:up'));
  });
}
