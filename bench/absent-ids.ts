/**
 * Requests for ids that do not exist: how many loads they cost, and how much memory. Each id is asked for twice within
 * its time to live; the first asking must be one query, the second none.
 *
 *   npm run bench:absent-ids -- --ids 500000
 */
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { Cache } from '../src/cache/cache.ts';
import { systemClock } from '../src/cache/clock.ts';
import { migrate } from '../src/database/migrate.ts';
import { MysqlDatabase } from '../src/database/mysql.ts';
import { posts } from '../src/resources/posts/posts.ts';
import { ResourceReader } from '../src/resources/reader.ts';
import { createSchema } from '../test/harness/database-schema.ts';
import { startDatabaseServer } from '../test/harness/database-server.ts';
import { MemoryOutbox } from '../test/harness/engine.ts';
import { startRedis } from '../test/harness/redis-server.ts';
import { openRedisStore, trusted } from '../test/harness/redis-store.ts';

const { values } = parseArgs({ options: { ids: { type: 'string', default: '500000' } } });
const ids = Number(values.ids);
const atOnce = 200;
/** Asked for again before the entries of the first asking expire (half a minute, less a tenth). */
const stretch = 20_000;
const memoryBytes = 32 * 1024 * 1024;

const [server, redis] = await Promise.all([
  startDatabaseServer('mysql').catch(() => startDatabaseServer('mariadb')),
  startRedis({ ownProcess: true, config: ['--maxmemory', '256mb', '--maxmemory-policy', 'allkeys-lru'] }),
]);
const schema = await createSchema(server);
const { host, port, username: user, password, name } = schema;
const database = new MysqlDatabase({
  server: { host, port, user, password, database: name },
  poolSize: 10,
  queueLimit: 10_000,
  connectTimeoutMs: 5_000,
  acquireTimeoutMs: 10_000,
  statementTimeoutMs: 10_000,
  commitTimeoutMs: 10_000,
});
await migrate(database);
const watcher = await createConnection({ host, port, user, password, rowsAsArray: true });
const client = new Redis(redis.url);
const store = openRedisStore(redis);
await trusted(store);
const cache = new Cache(store, new MemoryOutbox(), systemClock, {
  leaseMs: 5_000,
  fenceMs: 30_000,
  withoutStore: 'accept',
  memoryBytes,
  auditShare: 0,
  sweepMs: 60_000,
});
const reader = new ResourceReader(posts, cache, database);

async function statements(): Promise<number> {
  const [rows] = await watcher.query<RowDataPacket[][]>("SHOW GLOBAL STATUS LIKE 'Com_stmt_execute'");
  return Number(rows[0]?.[1]);
}

/** Each of `atOnce` readers takes the next id until there is none. */
async function askForAll(first: number, count: number): Promise<void> {
  let next = 0;
  const ask = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await reader.readItem(String(first + index));
  };
  await Promise.all(Array.from({ length: atOnce }, ask));
}

console.log(
  `${ids} ids, each asked for twice; L1 bound ${memoryBytes / 1e6} MB, Redis maxmemory 256 MB, ${server.version}`,
);
const began = performance.now();
const before = await statements();
let second = 0;
for (let first = 0; first < ids; first += stretch) {
  await askForAll(1e9 + first, Math.min(stretch, ids - first));
  const between = await statements();
  await askForAll(1e9 + first, Math.min(stretch, ids - first));
  second += (await statements()) - between;
}
const loads = (await statements()) - before;
const used = /used_memory:(\d+)/.exec(await client.info('memory'))?.[1];
const evicted = /evicted_keys:(\d+)/.exec(await client.info('stats'))?.[1];
globalThis.gc?.();
console.log(`  requests        ${2 * ids} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
console.log(`  queries         ${loads} (${second} of them for an id that was asked for the second time)`);
console.log(`  L1              ${(cache.memory.bytes / 1e6).toFixed(1)} MB in ${cache.memory.size} entries`);
console.log(`  process         ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB resident`);
console.log(`  Redis           ${(Number(used) / 1e6).toFixed(0)} MB used, ${evicted} keys evicted`);

await cache.close();
await store.close();
await database.close();
watcher.destroy();
client.disconnect();
await schema.drop();
await Promise.all([server.stop(), redis.stop()]);
