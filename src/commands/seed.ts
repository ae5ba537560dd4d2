import { type Config, loadConfig, readEnvironment } from '../config.ts';
import type { Database } from '../database/database.ts';
import { migrate } from '../database/migrate.ts';
import { seedPosts, seedUsers } from '../resources/posts/seed.ts';
import { openDatabase } from '../database/open.ts';
import { requireLastingData } from './migrate.ts';
import type { Output } from './output.ts';
import { withProgress } from './progress.ts';
import { withCache } from './store-access.ts';
import { numberOf, type Verb } from './verb.ts';

/** Adds users and posts through the cache's own write path, so that running instances see them. */
export const seed: Verb = {
  name: 'seed',
  summary: 'add users and posts to try things with',
  details: ['They are written as any post is, so running instances and their live clients see them.'],
  flags: [
    { name: 'posts', value: 'N', description: 'how many posts', standard: '10000' },
    { name: 'users', value: 'N', description: 'how many users write them', standard: '500' },
  ],
  run: async (given) => {
    const counts = {
      posts: numberOf(given, 'posts', { standard: 10_000, least: 1, most: mostRows }),
      users: numberOf(given, 'users', { standard: 500, least: 1, most: mostRows }),
    };
    const config = loadConfig(readEnvironment());
    requireLastingData(config, 'seed');
    const database = openDatabase(config);
    try {
      await migrate(database);
      await seedThroughCache(config, database, counts, given.output);
    } finally {
      await database.close();
    }
    given.output.show(counts, []);
    return 'done';
  },
};

const mostRows = 99_999_999;

async function seedThroughCache(
  config: Config,
  database: Database,
  counts: { readonly posts: number; readonly users: number },
  output: Output,
): Promise<void> {
  await withCache(config, database, output, async ({ cache }) => {
    const show = <T>(what: 'users' | 'posts', work: (report: (done: number) => void) => Promise<T>): Promise<T> =>
      withProgress(what, counts[what], work, output.progress);
    const userIds = await show('users', (report) => seedUsers(database, counts.users, report));
    await show('posts', (report) => seedPosts(cache, database, userIds, counts.posts, report));
  });
}
