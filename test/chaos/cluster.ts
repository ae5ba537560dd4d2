import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import type { DatabaseServer } from '../harness/database-server.ts';
import { type RedisCluster, startRedisCluster } from '../harness/redis-cluster.ts';
import { follow, type RedisSentinel, startSentinelsOf } from '../harness/redis-sentinel.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';
import { type CommitGate, startCommitGate } from './commit-gate.ts';
import { HttpClient } from './http-client.ts';

/**
 * The stage: three instances of the service as processes over one Redis and one database. Each has links
 * of its own, so that each can be cut alone:
 *
 *   instance -> proxy -> Redis
 *   instance -> proxy -> gate that knows a COMMIT -> database
 *
 * Behind Sentinels, and in a Redis Cluster, the instances are told the addresses of the servers themselves, so that no proxy
 * is between them and Redis.
 */
export type Cluster = {
  readonly plan: ClusterPlan;
  readonly instances: readonly Instance[];
  readonly database: DatabaseServer;
  /** The Redis that the instances use now. */
  readonly redis: RedisServer;
  /** Set behind Sentinels. */
  readonly failover: Failover | undefined;
  /** Set with a Redis Cluster. */
  readonly nodes: RedisCluster | undefined;
  /** Ids of rows that are there from the beginning and stay; each instance has two others. */
  readonly rows: readonly string[];
  /** Of those, the one that nobody writes but faults, and that is read all the time to see what a fault costs. */
  readonly watchedRow: string;
  /** Past the service. */
  query(sql: string): Promise<RowDataPacket[]>;
  /** In a Redis Cluster every master is asked, and the first one's answer is told. */
  askRedis(...command: readonly string[]): Promise<unknown>;
  /** Resolves when all instances are healthy and use Redis. */
  ready(): Promise<void>;
  /** Ends everything but the database server, whose schema goes. */
  close(): Promise<void>;
};

export type ClusterPlan = {
  readonly redis: 'single' | 'sentinel' | 'cluster';
  /** `WRITE_WITHOUT_CACHE`: with `accept` the one stated exception of the consistency holds. */
  readonly writes: 'reject' | 'accept';
};

export type Failover = {
  /** One of those that watch. */
  readonly sentinel: RedisSentinel;
  readonly sentinels: readonly RedisSentinel[];
  /** Who is to be promoted. */
  readonly replica: RedisServer;
  /** Between the replica and its master. */
  readonly wire: TcpProxy;
  /** The replica is the master from now on. */
  promoted(): void;
};

const instanceCount = 3;
const rowCount = 11;

/** Short, so that the end of a fault is soon the end of its consequences; long enough for a machine with two cores. */
const settings = {
  FENCE_MS: '5000',
  LEASE_MS: '1000',
  REDIS_TIMEOUT_MS: '250',
  REDIS_BULK_TIMEOUT_MS: '500',
  REDIS_CONNECT_TIMEOUT_MS: '1000',
  DB_CONNECT_TIMEOUT_MS: '1000',
  DB_ACQUIRE_TIMEOUT_MS: '1000',
  DB_STATEMENT_TIMEOUT_MS: '2000',
  DB_COMMIT_TIMEOUT_MS: '2500',
  LOG_REQUESTS: 'false',
  LOG_FORMAT: 'json',
} as const;

/** One process of the service, with the links it has; after a kill another one may take its place. */
export class Instance {
  readonly name: string;
  /** A row of its own, to see whether it serves. */
  readonly probeRow: string;
  /** Another one, to see for how long writes are not accepted. */
  readonly writtenRow: string;
  /** Undefined behind Sentinels and in a Redis Cluster. */
  readonly toRedis: TcpProxy | undefined;
  readonly toDatabase: TcpProxy;
  readonly gate: CommitGate;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #earlierLines: string[] = [];
  #process: ServiceProcess | undefined;
  #http: HttpClient | undefined;

  constructor(parts: {
    name: string;
    probeRow: string;
    writtenRow: string;
    toRedis: TcpProxy | undefined;
    toDatabase: TcpProxy;
    gate: CommitGate;
    environment: Readonly<Record<string, string>>;
  }) {
    this.name = parts.name;
    this.probeRow = parts.probeRow;
    this.writtenRow = parts.writtenRow;
    this.toRedis = parts.toRedis;
    this.toDatabase = parts.toDatabase;
    this.gate = parts.gate;
    this.#environment = parts.environment;
  }

  /** All that the log has said, of killed processes too. */
  get lines(): readonly string[] {
    return [...this.#earlierLines, ...(this.#process?.lines ?? [])];
  }

  get http(): HttpClient {
    if (this.#http === undefined) throw new Error(`${this.name} was not started`);
    return this.#http;
  }

  /** Undefined while it is dead. */
  get url(): string | undefined {
    return this.#process?.url;
  }

  async start(): Promise<void> {
    this.#process = await startServiceProcess({ environment: this.#environment });
    this.#http?.close();
    this.#http = new HttpClient(this.#process.port);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    const killed = this.#process;
    if (killed === undefined) return;
    killed.signal('SIGKILL');
    await killed.ended;
    await killed.stop();
    this.#earlierLines.push(...killed.lines);
    this.#process = undefined;
  }

  /** Standard error of the process that runs, or has ended by itself. */
  get errors(): string {
    return this.#process?.errors ?? '';
  }

  async inUse(): Promise<void> {
    await this.#process?.line(/ is in use \(/);
  }

  async close(): Promise<void> {
    await this.kill();
    this.#http?.close();
    await Promise.all([this.toRedis?.close(), this.toDatabase.close(), this.gate.close()]);
  }
}

export async function startCluster(database: DatabaseServer, plan: ClusterPlan): Promise<Cluster> {
  const schema = await createSchema(database, 'chaos');
  const stops: (() => Promise<void>)[] = [schema.drop];
  const close = async (): Promise<void> => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  };
  try {
    const way = await startRedisServers(plan.redis, stops);
    const instances: Instance[] = [];
    for (let number = 1; number <= instanceCount; number += 1) {
      const instance = await openInstance(number, schema, way, plan);
      stops.push(() => instance.close());
      instances.push(instance);
    }
    // The first one creates the tables.
    for (const instance of instances.slice(0, 1)) await instance.start();
    await Promise.all(instances.slice(1).map((instance) => instance.start()));
    const query = (sql: string): Promise<RowDataPacket[]> => queryOn(schema, sql);
    const rows = (await insertRows(query)).slice(2 * instanceCount);
    const ready = async (): Promise<void> => {
      await Promise.all(instances.map((instance) => instance.inUse()));
    };
    await ready();
    return {
      plan,
      instances,
      database,
      rows,
      watchedRow: rows.at(-1) ?? '',
      query,
      ready,
      close,
      get redis() {
        return way.master;
      },
      failover: way.failover,
      nodes: way.nodes,
      askRedis: async (...command) => {
        const servers = way.nodes?.masters ?? [way.master];
        return (await Promise.all(servers.map((server) => askRedis(server, command))))[0];
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

type Way = { master: RedisServer; failover?: Failover; nodes?: RedisCluster };

async function startRedisServers(kind: ClusterPlan['redis'], stops: (() => Promise<void>)[]): Promise<Way> {
  if (kind === 'cluster') return await startNodes(stops);
  const start = async (): Promise<RedisServer> => {
    const server = await startRedis({ ownProcess: true });
    stops.push(() => server.stop());
    return server;
  };
  const master = await start();
  if (kind === 'single') return { master };
  const replica = await start();
  const wire = await startProxy(master);
  stops.push(() => wire.close());
  await follow(replica, wire);
  const sentinels = await startSentinelsOf(master, 1, stops);
  const [sentinel] = sentinels;
  if (sentinel === undefined) throw new Error('no Sentinel');
  const way: Way = { master };
  const promoted = (): void => {
    way.master = replica;
  };
  way.failover = { sentinel, sentinels, replica, wire, promoted };
  return way;
}

async function startNodes(stops: (() => Promise<void>)[]): Promise<Way> {
  const nodes = await startRedisCluster();
  stops.push(nodes.stop);
  const [master] = nodes.masters;
  if (master === undefined) throw new Error('no master');
  return { master, nodes };
}

/** How an instance is told where Redis is. */
function redisSettings(way: Way, toRedis: TcpProxy | undefined): Record<string, string> {
  const list = (servers: readonly { host: string; port: number }[]): string =>
    servers.map(({ host, port }) => `${host}:${port}`).join(',');
  if (way.nodes !== undefined) return { REDIS_CLUSTER_NODES: list(way.nodes.masters) };
  if (way.failover === undefined) return { REDIS_URL: `redis://${toRedis?.host}:${toRedis?.port}` };
  const { sentinels, sentinel } = way.failover;
  return { REDIS_SENTINELS: list(sentinels), REDIS_SENTINEL_NAME: sentinel.name };
}

async function openInstance(number: number, schema: DatabaseSchema, way: Way, plan: ClusterPlan): Promise<Instance> {
  const gate = await startCommitGate(schema);
  const toDatabase = await startProxy(gate);
  const isDirect = way.failover !== undefined || way.nodes !== undefined;
  const toRedis = isDirect ? undefined : await startProxy(way.master);
  const environment = {
    ...settings,
    ...redisSettings(way, toRedis),
    DB_HOST: toDatabase.host,
    DB_PORT: String(toDatabase.port),
    DB_USERNAME: schema.username,
    DB_PASSWORD: schema.password,
    DB_DATABASE: schema.name,
    WRITE_WITHOUT_CACHE: plan.writes,
  };
  const own = { probeRow: idOf(number), writtenRow: idOf(instanceCount + number) };
  return new Instance({ name: `instance ${number}`, ...own, toRedis, toDatabase, gate, environment });
}

async function queryOn(schema: DatabaseSchema, sql: string): Promise<RowDataPacket[]> {
  const { host, port, username: user, password, name: database } = schema;
  const connection = await createConnection({ host, port, user, password, database, connectTimeout: 5_000 });
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    return rows;
  } finally {
    await connection.end();
  }
}

/** What a row holds before the first operation. */
export const initialTitle = (id: string): string => `initial-${id}`;

/** Far enough apart for the list to be put together from segments, and near enough for some rows to share one. */
const idStep = 100;

/** Of the rows that are there from the beginning, counted from 1. */
function idOf(number: number): string {
  return String(1 + (number - 1) * idStep);
}

async function insertRows(query: (sql: string) => Promise<RowDataPacket[]>): Promise<string[]> {
  await query("INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'ada@example.com', '!')");
  const ids = Array.from({ length: rowCount }, (_, index) => idOf(index + 1));
  const values = ids.map((id) => `(${id}, '${initialTitle(id)}', '${initialTitle(id)}', 1, NOW(), NOW())`);
  await query(`INSERT INTO posts (id, title, content, user_id, created_at, updated_at) VALUES ${values.join(', ')}`);
  return ids;
}

async function askRedis(server: RedisServer, command: readonly string[]): Promise<unknown> {
  const client = new Redis({ host: server.host, port: server.port, lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const [name = '', ...args] = command;
    return await client.call(name, ...args);
  } finally {
    if (client.status !== 'end') client.disconnect();
  }
}
