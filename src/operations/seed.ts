import { setTimeout } from 'node:timers/promises';
import { SingleBar } from 'cli-progress';
import type { Cache } from '../cache/cache.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { CatalogueError, describeError } from '../errors.ts';
import { seedPosts, seedUsers } from '../resources/posts/seed.ts';
import { openCache, openDatabase } from '../server.ts';

/** The verb `seed`: adds users and posts through the cache's own write path, so that running instances see them. */
export async function runSeed(
  config: Config,
  given: { posts?: string | undefined; users?: string | undefined },
): Promise<void> {
  const counts = {
    posts: parseCount('posts', given.posts ?? '10000'),
    users: parseCount('users', given.users ?? '500'),
  };
  requireLastingData(config, 'seed');
  const database = openDatabase(config);
  try {
    await migrate(database);
    await seedThroughCache(config, database, counts);
  } finally {
    await database.close();
  }
}

async function seedThroughCache(
  config: Config,
  database: Database,
  counts: { readonly posts: number; readonly users: number },
): Promise<void> {
  const { store, cache } = openCache(withPatience(config), database);
  try {
    await reachStore(cache, config.settings.REDIS_CONNECT_TIMEOUT_MS);
    const userIds = await withProgress('users', counts.users, (report) => seedUsers(database, counts.users, report));
    await withProgress('posts', counts.posts, (report) => seedPosts(cache, database, userIds, counts.posts, report));
  } finally {
    await cache.close();
    await store.close();
  }
}

/** Fences go out by the batch, which is no matter of a few bytes. */
function withPatience({ backend, settings }: Config): Config {
  return {
    backend,
    settings: { ...settings, REDIS_TIMEOUT_MS: Math.max(settings.REDIS_TIMEOUT_MS, settings.REDIS_BULK_TIMEOUT_MS) },
  };
}

/** Throws `USAGE` for the embedded default, whose rows would end with the process that made them. */
export function requireLastingData({ backend }: Config, verb: string): void {
  if (backend.kind !== 'embedded' || backend.location !== ':memory:') return;
  const reason = `${verb} needs a database that outlives it: set REDIS_HOST and DB_HOST, or EMBEDDED_DATA to a file`;
  throw new CatalogueError('USAGE', { params: { reason } });
}

/** Connecting takes a moment, and a write before it would reach running instances only by their next sweep. */
async function reachStore(cache: Cache, timeoutMs: number): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await cache.ping();
    } catch (error) {
      if (performance.now() > giveUpAt) {
        console.error(
          `Redis cannot be used (${describeError(error)}): running instances will see the rows with their next sweep`,
        );
        return;
      }
    }
    await setTimeout(storePollMs);
  }
}

const storePollMs = 20;

function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (!/^\d{1,8}$/.test(text) || count < 1) {
    throw new CatalogueError('USAGE', { params: { reason: `--${name} must be a whole number from 1 to 99999999` } });
  }
  return count;
}

/** A bar on a terminal; elsewhere a line for every tenth part. */
export async function withProgress<T>(
  what: string,
  total: number,
  work: (report: (done: number) => void) => Promise<T>,
  stream: Terminal = process.stdout,
): Promise<T> {
  if (stream.isTTY !== true) {
    let tenths = 0;
    return await work((done) => {
      const reached = Math.floor((done * 10) / total);
      if (reached > tenths) stream.write(`${what}: ${done} of ${total}\n`);
      tenths = reached;
    });
  }
  const bar = new SingleBar({ format: `${what} {bar} {value} of {total}`, hideCursor: true, stream });
  bar.start(total, 0);
  try {
    return await work((done) => bar.update(done));
  } finally {
    bar.stop();
  }
}

/** A stream that may be a terminal. */
type Terminal = NodeJS.WritableStream & { readonly isTTY?: boolean };
