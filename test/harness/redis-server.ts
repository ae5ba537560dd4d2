import { Redis } from 'ioredis';
import type { Certificates } from './certificates.ts';
import { findFreePort, LOOPBACK } from './free-port.ts';
import { chosenRedis, redisUnderTest } from './redis-under-test.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

export type RedisServerOptions = {
  readonly password?: string;
  /** Data folder of the caller's, kept on stop. Without it the data is in a temporary folder and goes with the server. */
  readonly dir?: string;
  /** Further arguments, such as `['--maxmemory', '10mb']`; they win over the harness's own. */
  readonly config?: readonly string[];
  readonly port?: number;
  /** A second port, for TLS, where clients have to show a certificate; links to other servers are by TLS too. */
  readonly tls?: Certificates;
  /** A server of our own even where TEST_REDIS_URL names one: for tests that kill, pause or restart it. */
  readonly ownProcess?: boolean;
};

export type RedisServer = {
  readonly host: string;
  readonly port: number;
  /** 0 without TLS. */
  readonly tlsPort: number;
  readonly db: number;
  readonly password?: string;
  readonly url: string;
  readonly version: string;
  /** Undefined while the server is down, and for a server that isn't ours. */
  readonly pid: number | undefined;
  /** Ends the server and removes its temporary data. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): Promise<void>;
  /** Same port and data folder. An orderly end first if the server is up. */
  restart(): Promise<void>;
};

const START_TIMEOUT_MS = 15_000;
const PROBE_TIMEOUT_MS = 1_000;

/** Starts a Redis of our own, or hands out the one of TEST_REDIS_URL if no option asks for something special. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const external = process.env['TEST_REDIS_URL'];
  const isSpecial = Object.keys(options).length > 0 || chosenRedis() !== 'installed';
  if (external !== undefined && external !== '' && !isSpecial) return useExternal(external);

  const binary = await redisUnderTest();
  const folder = await makeServerFolder('redis');
  const { password } = options;
  const tlsPort = options.tls === undefined ? 0 : await findFreePort();
  const server = new ServerProcess({
    label: `${binary.label} ${binary.version}`,
    command: binary.command,
    arguments: (port) => [
      ...binary.leadingArguments,
      ...serverArguments(port, options.dir ?? folder, { ...options, tlsPort }),
    ],
    folder,
    ...(options.port === undefined ? {} : { port: options.port }),
    probe: (port, pid) => probe(port, pid, password),
    startTimeoutMs: START_TIMEOUT_MS,
  });
  await server.start();
  const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  return {
    host: LOOPBACK,
    port: server.port,
    tlsPort,
    db: 0,
    ...(password === undefined ? {} : { password }),
    url: `redis://${credentials}${LOOPBACK}:${server.port}/0`,
    version: binary.version,
    get pid() {
      return server.pid;
    },
    async stop() {
      // A data folder of the caller's is to hold what an orderly end leaves in it.
      if (options.dir !== undefined) await server.terminate();
      await server.stop();
    },
    kill: () => server.kill(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    restart: () => server.restart(),
  };
}

function serverArguments(port: number, dir: string, options: RedisServerOptions & { tlsPort: number }): string[] {
  return [
    ...['--port', String(port), '--bind', LOOPBACK, '--dir', dir],
    ...['--save', '', '--appendonly', 'no', '--daemonize', 'no'],
    ...(options.password === undefined ? [] : ['--requirepass', options.password]),
    ...(options.tls === undefined ? [] : tlsArguments(options.tlsPort, options.tls)),
    ...(options.config ?? []),
  ];
}

/** For servers and Sentinels. */
export function tlsArguments(port: number, { ca, server }: Certificates): string[] {
  const files = ['--tls-ca-cert-file', ca, '--tls-cert-file', server.cert, '--tls-key-file', server.key];
  return ['--tls-port', String(port), ...files, '--tls-replication', 'yes'];
}

/** A client for a few commands on one server. */
export async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: PROBE_TIMEOUT_MS,
    commandTimeout: PROBE_TIMEOUT_MS,
    maxRetriesPerRequest: 0,
    enableReadyCheck: false,
    // Of a socket that is closed already, ioredis never clears this timer: it must end before leaks are looked for.
    disconnectTimeout: 100,
  });
  // The event says why a connection failed, where the rejection only says that it is closed.
  let cause: unknown;
  client.on('error', (error) => {
    cause = error;
  });
  try {
    await client.connect();
    return await use(client);
  } catch (error) {
    throw cause ?? error;
  } finally {
    client.disconnect();
  }
}

/** Asks for the process id too: on a port that was lost in a race, somebody else's Redis may be answering. */
async function probe(port: number, pid: number, password: string | undefined): Promise<void> {
  const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
  await withClient(`redis://${credentials}${LOOPBACK}:${port}`, async (client) => {
    await client.ping();
    const answering = infoField(await client.info('server'), 'process_id');
    if (answering !== String(pid)) throw new Error(`port ${port} is answered by process ${answering}`);
  });
}

function infoField(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
}

/** What the Redis of TEST_REDIS_URL calls itself, for the report at the start of a run. */
export function externalRedisVersion(url: string): Promise<string> {
  return withClient(url, async (client) => infoField(await client.info('server'), 'redis_version')).catch(
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`the Redis of TEST_REDIS_URL (${new URL(url).host}) can't be used: ${reason}`, { cause: error });
    },
  );
}

/** Workers run at the same time, so each gets a database of its own, by number, unless the URL names one. */
async function useExternal(configured: string): Promise<RedisServer> {
  const url = new URL(configured);
  if (!/^\/\d+$/.test(url.pathname)) url.pathname = `/${Number(process.env['JEST_WORKER_ID'] ?? 1)}`;
  const version = await externalRedisVersion(url.href);
  await withClient(url.href, (client) => client.flushdb());
  const refuse = async (): Promise<never> => {
    throw new Error('the Redis of TEST_REDIS_URL is not ours to kill, pause or restart: use { ownProcess: true }');
  };
  const password = decodeURIComponent(url.password);
  return {
    host: url.hostname,
    port: Number(url.port || 6379),
    tlsPort: 0,
    db: Number(url.pathname.slice(1)),
    ...(password === '' ? {} : { password }),
    url: url.href,
    version,
    pid: undefined,
    stop: async () => {},
    kill: refuse,
    pause: refuse,
    resume: refuse,
    restart: refuse,
  };
}
