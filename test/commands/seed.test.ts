import { describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { runVerb, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The verbs `seed` and `migrate`, as processes on real servers. */

const stops = stopAfterEach();

async function openSchema(server = sharedDatabases()[0]): Promise<DatabaseSchema> {
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  return schema;
}

async function query(schema: DatabaseSchema, sql: string): Promise<RowDataPacket[]> {
  const { host, port, username, password, name } = schema;
  const connection = await createConnection({ host, port, user: username, password, database: name });
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    return rows;
  } finally {
    await connection.end();
  }
}

const counts =
  'SELECT (SELECT COUNT(*) FROM users) users, (SELECT COUNT(*) FROM posts) posts, (SELECT COUNT(*) FROM cache_outbox) waiting';

describe.each(sharedDatabases().map((server) => [`${server.flavour} ${server.version}`, server] as const))(
  'seed on %s',
  (_, server) => {
    test('10000 posts by 500 users: progress in plain lines, right counts, and a running instance sees them at once', async () => {
      const [redis, schema] = await Promise.all([startRedis(), openSchema(server)]);
      stops.push(redis.stop);
      const environment = environmentOf(redis, schema);
      const service = await startServiceProcess({ environment });
      stops.push(service.stop);
      await service.line(/Cache: Redis at \S+ is in use/);
      // What it will have to forget: an empty list, a first page and an absent row.
      for (const path of ['/cache/posts', '/cache/posts?limit=10', '/cache/posts/10000']) {
        await service.get(path);
        expect((await service.get(path)).headers.get('cache-status')).toContain('hit');
      }

      const seeded = await runVerb(['seed', '--posts', '10000', '--users', '500'], { environment });
      expect([seeded.code, seeded.errors]).toEqual([0, '']);
      const [list, page, item] = [
        await service.get('/cache/posts'),
        await service.get('/cache/posts?limit=10'),
        await service.get('/cache/posts/10000'),
      ];

      expect(seeded.lines).toEqual([
        'users: 500 of 500',
        ...Array.from({ length: 10 }, (_, tenth) => `posts: ${(tenth + 1) * 1_000} of 10000`),
      ]);
      expect([list.json.data.length, page.json.data.length, item.status]).toEqual([10_000, 10, 200]);
      expect(await query(schema, counts)).toEqual([{ users: 500, posts: 10_000, waiting: 0 }]);
      const [spread] = await query(
        schema,
        'SELECT COUNT(DISTINCT user_id) authors, COUNT(DISTINCT content) contents, COUNT(DISTINCT created_at) times FROM posts',
      );
      expect(spread).toEqual({ authors: 500, contents: 10_000, times: 10_000 });
      expect(item.json.data).toMatchObject({
        title: 'Post 10000',
        user: { id: expect.any(Number), email: expect.stringContaining('@example.com') },
      });
    }, 60_000);
  },
);

test('a second run adds to the first, with defaults of 10000 posts by 500 users', async () => {
  const [redis, schema] = await Promise.all([startRedis(), openSchema()]);
  stops.push(redis.stop);
  const environment = environmentOf(redis, schema);
  expect((await runVerb(['seed', '--posts', '7', '--users', '3'], { environment })).lines.at(-1)).toBe('posts: 7 of 7');
  expect((await runVerb(['seed'], { environment })).code).toBe(0);
  expect(await query(schema, counts)).toEqual([{ users: 503, posts: 10_007, waiting: 0 }]);
}, 60_000);

test('without Redis it says what that means, and leaves the names to running instances', async () => {
  const schema = await openSchema();
  const environment = {
    ...environmentOf({ url: `redis://127.0.0.1:${await findFreePort()}` }, schema),
    REDIS_CONNECT_TIMEOUT_MS: '300',
  };
  const seeded = await runVerb(['seed', '--posts', '2', '--users', '1'], { environment });
  expect(seeded.code).toBe(0);
  expect(seeded.errors).toMatch(
    /^Redis cannot be used \(.+\): running instances will see the change with their next sweep\n$/,
  );
  expect(await query(schema, counts)).toEqual([{ users: 1, posts: 2, waiting: 4 }]);
});

test('a file of the embedded database can be seeded, and is served then', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
  stops.push(() => rm(folder, { recursive: true }));
  const environment = { EMBEDDED_DATA: join(folder, 'posts.db') };
  expect((await runVerb(['seed', '--posts', '1200', '--users', '700'], { environment })).code).toBe(0);
  const service = await startServiceProcess({ environment });
  stops.push(service.stop);
  const { data } = (await service.get('/cache/posts')).json;
  expect(data).toHaveLength(1_200);
  expect(data[0]).toMatchObject({ title: 'Post 1200', user: { name: 'User 501' } });
});

test.each([
  [['--posts', '0'], /^--posts must be a whole number from 1 to 99999999 \(/],
  [['--posts', 'many'], /^--posts must be a whole number/],
  [['--posts', '1.5'], /^--posts must be a whole number/],
  [['--posts', '100000000'], /^--posts must be a whole number/],
  [['--posts='], /^--posts must be a whole number/],
  [['--users', '0'], /^--users must be a whole number/],
  [['--users=-1'], /^--users must be a whole number/],
  [['--users'], /^Option '--users <N>' argument missing \(/],
  [['--comments', '1'], /^Unknown option '--comments' \(/],
  [[], /^seed needs a database that outlives it: set REDIS_HOST and DB_HOST, or EMBEDDED_DATA to a file \(/],
])('seed %j is refused in one sentence', async (flags, expected) => {
  const { code, lines, errors } = await runVerb(['seed', ...flags]);
  expect([code, lines]).toEqual([2, []]);
  expect(errors.trimEnd().split('\n')).toEqual([expect.stringMatching(expected)]);
});

test.each(sharedDatabases().map((server) => [`${server.flavour} ${server.version}`, server] as const))(
  'migrate on %s creates what is missing, says what, and touches nothing else',
  async (_, server) => {
    const schema = await openSchema(server);
    const environment = environmentOf({ url: 'redis://127.0.0.1:1' }, schema);
    await query(
      schema,
      'CREATE TABLE users (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, nickname VARCHAR(9)) ENGINE = InnoDB',
    );
    const first = await runVerb(['migrate'], { environment });
    expect([first.code, first.lines, first.errors]).toEqual([
      0,
      ['Created posts, cache_outbox, cache_idempotency_keys, cache_barrier.'],
      '',
    ]);
    const second = await runVerb(['migrate'], { environment });
    expect([second.code, second.lines]).toEqual([0, ['All tables are there.']]);
    const columns = await query(
      schema,
      "SELECT column_name AS name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'users'",
    );
    expect(columns.map((column) => column['name'])).toEqual(['id', 'nickname']);
  },
);
