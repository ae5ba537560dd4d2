import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createSchema } from '../../test/harness/database-schema.ts';
import { type DatabaseFlavour, startDatabaseServer } from '../../test/harness/database-server.ts';
import { startRedis } from '../../test/harness/redis-server.ts';
import { cpuMicrosOf, loadCore, lowerPriority, pin } from './pinned-process.ts';

/** What all servers under test lean on: Redis and a database with posts, both on the processor of the load. */
export interface Stage {
  /** The settings of a user, but for the request log and the deadlines of Redis. */
  readonly environment: Readonly<Record<string, string>>;
  readonly redis: Redis;
  /** For files of this run. */
  readonly folder: string;
  /** How many there are, with the ids from 1 on. */
  readonly posts: number;
  readonly database: string;
  /** What Redis has done so far. */
  redisWork(): Promise<RedisWork>;
  /** From now on the database server yields the processor that they share to Redis and the load. */
  yieldDatabase(): void;
  /** Processor time that the database server has used so far, in microseconds. */
  databaseCpuMicros(): number;
  close(): Promise<void>;
}

export interface RedisWork {
  /** Processor time. */
  readonly cpuMicros: number;
  readonly commands: number;
  /** System calls that brought them. */
  readonly reads: number;
}

export const root = join(import.meta.dirname, '..', '..');

/** The database is MySQL, or MariaDB where there is none, unless one of them is asked for. */
export async function openStage(posts: number, flavour?: DatabaseFlavour): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'energex-cache-bench-'));
  const [database, server] = await Promise.all([
    flavour === undefined
      ? startDatabaseServer('mysql').catch(() => startDatabaseServer('mariadb'))
      : startDatabaseServer(flavour),
    startRedis({ ownProcess: true }),
  ]);
  pin(database.pid, loadCore);
  pin(server.pid, loadCore);
  const schema = await createSchema(database, 'bench');
  const environment = {
    REDIS_URL: server.url,
    DB_HOST: schema.host,
    DB_PORT: String(schema.port),
    DB_USERNAME: schema.username,
    DB_PASSWORD: schema.password,
    DB_DATABASE: schema.name,
    LOG_REQUESTS: 'false',
    // Redis shares a processor with the load: a deadline that it misses for that reason would turn hits into loads.
    REDIS_TIMEOUT_MS: '2000',
    REDIS_BULK_TIMEOUT_MS: '5000',
    HOST: '127.0.0.1',
    PORT: '0',
  };
  execFileSync(process.execPath, [join(root, 'src/main.ts'), 'seed', '--posts', String(posts)], {
    env: { PATH: process.env['PATH'], ...environment, REDIS_TIMEOUT_MS: '1000' },
    stdio: 'ignore',
  });
  const redis = new Redis(server.url);
  return {
    environment,
    redis,
    folder,
    posts,
    database: `${database.flavour} ${database.version}`,
    redisWork: async () => {
      const info = `${await redis.info('cpu')}${await redis.info('stats')}`;
      const figure = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1]);
      return {
        cpuMicros: (figure('used_cpu_user') + figure('used_cpu_sys')) * 1e6,
        commands: figure('total_commands_processed'),
        reads: figure('total_reads_processed'),
      };
    },
    yieldDatabase: () => lowerPriority(database.pid),
    databaseCpuMicros: () => (database.pid === undefined ? Number.NaN : cpuMicrosOf(database.pid)),
    close: async () => {
      redis.disconnect();
      await schema.drop();
      await Promise.all([database.stop(), server.stop()]);
      rmSync(folder, { recursive: true });
    },
  };
}
