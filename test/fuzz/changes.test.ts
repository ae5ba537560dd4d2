import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { feedChannel, type FeedEvent } from '../../src/change-feed/channels.ts';
import { createSchema } from '../harness/database-schema.ts';
import { dial, nameOf } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, type Service, startService } from '../harness/service.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { campaign, campaignTimeoutMs } from './campaign.ts';

/**
 * Another program changes rows, and tables too: columns of every type, values at their ends, images with few columns, tables that
 * look like ours. Whatever it does, what the cache answers is what the database holds, soon after.
 */
const stops = stopAfterEach();
const posts = 5;

/** Types that both servers have, with values at their ends. */
const columns: readonly (readonly [type: string, values: readonly string[]])[] = [
  ['BIT(5)', ["b'10101'", "b'0'"]],
  ["ENUM('a','','ü')", ["'a'", "''", "'ü'"]],
  ["SET('x','y','z')", ["'x,z'", "''"]],
  ['JSON', [`'{"a":[1,null,"ü"]}'`, `'[]'`, "'null'"]],
  ['GEOMETRY', ["ST_GeomFromText('POINT(1 2)')"]],
  ['DECIMAL(20,5)', ['-99999.12345', '0']],
  ['DECIMAL(65,30)', ['1e-30', '-12345678901234567890.5']],
  ['YEAR', ['1901', '2155']],
  ['TIME(3)', ["'-838:59:58.999'", "'00:00:00.001'"]],
  ['DATETIME(6)', ["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"]],
  ['TIMESTAMP(2) NULL', ["'1970-01-02 00:00:01'", 'NULL']],
  ['DATE', ["'1000-01-01'", "'9999-12-31'"]],
  ['BLOB', ["x'00ff00'", "REPEAT('b', 60000)"]],
  ['VARBINARY(10)', ["x''", "x'000102'"]],
  ['BINARY(4)', ["x'0100'"]],
  ['TINYINT UNSIGNED', ['255', '0']],
  ['BIGINT UNSIGNED', ['18446744073709551615', '9223372036854775808']],
  ['BIGINT', ['-9223372036854775808']],
  ['MEDIUMINT', ['-8388608']],
  ['DOUBLE', ['1e308', '-0e0']],
  ['FLOAT', ['1.5', '-3e38']],
  ['VARCHAR(10) CHARACTER SET latin1', ["'é'", "''"]],
  ['VARCHAR(10) CHARACTER SET utf16', ["'é😀'"]],
  ['LONGTEXT', ["REPEAT('😀', 20000)"]],
];

const id = fc.integer({ min: 1, max: posts });
/** In SQL, hexadecimal, so that nothing has to be escaped. */
const text = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 60 })
  .map((value) => `CONVERT(x'${Buffer.from(value).toString('hex')}' USING utf8mb4)`);

/** One after the other on one connection; what the server refuses is no harm. */
const statements: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(id, text).map(([post, title]) => `UPDATE posts SET title = ${title} WHERE id = ${post}`),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(id, text).map(([post, content]) => `UPDATE posts SET content = ${content} WHERE id >= ${post}`),
  },
  { weight: 2, arbitrary: id.map((post) => `DELETE FROM posts WHERE id = ${post}`) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(id, text)
      .map(([post, title]) => `INSERT INTO posts (id, title, content, user_id) VALUES (${post}, ${title}, 'c', 1)`),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, text)
      .map(([post, title]) => `REPLACE INTO posts (id, title, content, user_id) VALUES (${post}, ${title}, 'r', 2)`),
  },
  { weight: 1, arbitrary: fc.tuple(id, id).map(([from, to]) => `UPDATE posts SET id = ${to} WHERE id = ${from}`) },
  { weight: 1, arbitrary: text.map((name) => `UPDATE users SET name = ${name} WHERE id = 1`) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('FULL', 'MINIMAL', 'NOBLOB').map((image) => `SET SESSION binlog_row_image = ${image}`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'BEGIN',
      'COMMIT',
      'ROLLBACK',
      'SAVEPOINT a',
      'ROLLBACK TO a',
      "SET time_zone = '+05:30'",
      'SET NAMES latin1',
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...columns)
      .chain(([type, values]) =>
        fc
          .tuple(fc.constantFrom('posts', 'things'), fc.constantFrom(...values))
          .map(
            ([table, value]) =>
              `ALTER TABLE ${table} ADD COLUMN extra ${type};UPDATE ${table} SET extra = ${value};ALTER TABLE ${table} DROP COLUMN extra`,
          ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'CREATE TABLE IF NOT EXISTS things (id BIGINT UNSIGNED PRIMARY KEY, title TEXT)',
      "INSERT INTO things VALUES (1, 'a thing')",
      'TRUNCATE things',
      'DROP TABLE IF EXISTS things',
      'ALTER TABLE posts COMMENT = "x"',
      'CREATE INDEX odd ON posts (title(10));DROP INDEX odd ON posts',
    ),
  },
);

async function run(connection: Connection, all: readonly string[]): Promise<void> {
  for (const each of all.flatMap((statement) => statement.split(';')))
    await connection.query(each).catch(() => undefined);
  await connection.query('COMMIT');
}

/** What the API says of each post, and what the table does. */
async function compare(
  service: Service,
  connection: Connection,
): Promise<{ readonly told: unknown; readonly held: unknown }> {
  const [rows] = await connection.query<RowDataPacket[][]>(
    'SELECT p.id, p.title, p.content, u.name FROM posts p LEFT JOIN users u ON u.id = p.user_id ORDER BY p.id',
  );
  const held = rows.map(([post, ...rest]) => [Number(post), ...rest]);
  const told: unknown[] = [];
  for (let post = 1; post <= posts; post += 1) {
    const { status, json } = await service.get(`/cache/posts/${post}`);
    if (status === 200) told.push([json.data.id, json.data.title, json.data.content, json.data.user.name]);
  }
  const listed = (await service.get('/cache/posts')).json.data.length;
  return { told: { rows: told, listed }, held: { rows: held, listed: rows.length } };
}

test.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'the changes of another program, whatever they are (%s)',
  async (_, server) => {
    const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
    stops.push(redis.stop, schema.drop);
    let isFollowing = false;
    const note = (message: unknown): void => {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const event = message as FeedEvent;
      if (event.type === 'state') isFollowing = event.state.name === 'following';
    };
    feedChannel.subscribe(note);
    stops.push(async () => {
      feedChannel.unsubscribe(note);
    });
    const service = await startService({ ...environmentOf(redis, schema), CHANGE_FEED: 'binlog' });
    stops.push(service.stop);
    await eventually(async () => isFollowing, 20_000);
    const program = await dial(schema);
    stops.push(async () => program.destroy());
    await program.query(
      "INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p'), (2, 'Bo', 'b@x', 'p')",
    );
    await program.query('CREATE TABLE IF NOT EXISTS things (id BIGINT UNSIGNED PRIMARY KEY, title TEXT)');
    await program.query('SET SESSION innodb_lock_wait_timeout = 2');
    await program.query('SET SESSION lock_wait_timeout = 2');
    const reader = await dial(schema);
    stops.push(async () => reader.destroy());
    const cases = fc.array(statements, { minLength: 1, maxLength: 6 });
    await campaign(`changes on ${server.flavour}`, cases, async (all) => {
      // So that there is something to be wrong about.
      await compare(service, reader);
      await run(program, all);
      let last: Awaited<ReturnType<typeof compare>> | undefined;
      const isTrue = async (): Promise<boolean> => {
        last = await compare(service, reader);
        return JSON.stringify(last.told) === JSON.stringify(last.held);
      };
      await eventually(isTrue, 15_000).catch(() => expect(last?.told).toEqual(last?.held));
    });
  },
  campaignTimeoutMs + 60_000,
);
