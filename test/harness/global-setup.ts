import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findOtherRedis, findRedisServer, type RedisKind, redisLabels } from './binaries.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from './database-server.ts';
import { startProcessGuard } from './process-guard.ts';
import { externalRedisVersion } from './redis-server.ts';
import { makeServerFolder } from './server-process.ts';
import { SERVERS_FILE_VARIABLE } from './shared-servers.ts';

/** Where the teardown, which is loaded apart, finds what it has to call. */
export const TEARDOWN_KEY: unique symbol = Symbol.for('energex-cache.test-servers.teardown');

type Outcome = { readonly server: DatabaseServer } | { readonly reason: string };

/**
 * Jest's global setup: one MySQL and one MariaDB for the whole run, their addresses in a file that the workers read.
 * Redis servers are started by the test files themselves; here it is only seen to that there is a program for it.
 */
export default async function setUp(): Promise<void> {
  const [mysql, mariadb, redis, ...others] = await Promise.all([
    start('mysql'),
    start('mariadb'),
    describeRedis().catch((error: unknown) => ({ reason: messageOf(error) })),
    describeOther('redis-8'),
    describeOther('valkey'),
  ]);
  const servers = [mysql, mariadb].flatMap((outcome) => ('server' in outcome ? [outcome.server] : []));
  const folder = await makeServerFolder('run');
  const guard = startProcessGuard(folder);
  const tearDown = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
    await guard.release();
  };
  process.stdout.write(
    [
      '',
      'Servers of this test run',
      `  ${describeDatabase('MySQL', mysql, 'the MySQL tests run on MariaDB only')}`,
      `  ${describeDatabase('MariaDB', mariadb, 'the MariaDB tests run on MySQL only')}`,
      `  Redis: ${typeof redis === 'string' ? redis : `not available (${redis.reason})`}`,
      ...others.map((other) => `  ${other}`),
      '',
      '',
    ].join('\n'),
  );
  if (servers.length === 0 || typeof redis !== 'string') {
    await tearDown();
    throw new Error('the tests need Redis and at least one of MySQL and MariaDB; see above for what is missing');
  }
  const file = join(folder, 'servers.json');
  await writeFile(file, JSON.stringify(servers), { mode: 0o600 });
  process.env[SERVERS_FILE_VARIABLE] = file;
  Reflect.set(globalThis, TEARDOWN_KEY, tearDown);
}

async function start(flavour: DatabaseFlavour): Promise<Outcome> {
  try {
    return { server: await startDatabaseServer(flavour) };
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

function describeDatabase(label: string, outcome: Outcome, consequence: string): string {
  if ('reason' in outcome) return `${label}: not available (${outcome.reason}) - ${consequence}`;
  const { version, origin, host, port } = outcome.server;
  return `${label}: ${version} (${origin}), ${host}:${port}`;
}

async function describeRedis(): Promise<string> {
  const external = process.env['TEST_REDIS_URL'];
  if (external !== undefined && external !== '') {
    return `${await externalRedisVersion(external)} (TEST_REDIS_URL, ${new URL(external).host})`;
  }
  const binary = await findRedisServer();
  return `${binary.version} (${binary.origin}), started by each test file`;
}

/** Fetched here, before the files of tests that want it at the same time. */
async function describeOther(kind: Exclude<RedisKind, 'installed'>): Promise<string> {
  const found = await findOtherRedis(kind);
  return 'unavailable' in found
    ? `${redisLabels[kind]}: not available (${found.unavailable}) - what runs on it runs on the Redis above only`
    : `${redisLabels[kind]}: ${found.version} (${found.origin}), started by test/redis/servers`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
