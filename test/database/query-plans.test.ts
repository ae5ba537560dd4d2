import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { migrate } from '../../src/database/migrate.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { buildStatements } from '../../src/resources/statements.ts';
import { dial, lumenTables, nameOf, openOn } from '../harness/databases.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

/** One line of EXPLAIN, by the names that MySQL and MariaDB share. */
interface Step {
  readonly table: string;
  readonly type: string;
  readonly key: string | null;
  readonly Extra: string;
}

const cursor = ['2024-06-01 00:00:00', '2024-06-01 00:00:00', '5000'];

const shapes = [
  ['tables of the PHP backend', lumenTables],
  ['tables of its own', []],
] as const;

const servers = sharedDatabases().map((server) => ({ name: nameOf(server), server }));

describe.each(
  servers.flatMap(({ name, server }) => shapes.map(([shape, tables]) => [name, shape, server, tables] as const)),
)('the plans of %s for 10,000 posts of 500 users in %s', (_name, shape, server, tables) => {
  let own: Awaited<ReturnType<typeof openOn>>;
  let client: Connection;

  beforeAll(async () => {
    own = await openOn(server);
    const { database } = own;
    for (const sql of tables) await database.execute(sql);
    await migrate(database);
    const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
    const users = numbers(500).map((id) => `(${id}, 'User ${id}', 'user-${id}@example.com', '!')`);
    await database.execute(`INSERT INTO users (id, name, email, password) VALUES ${users.join(', ')}`);
    for (const batch of numbers(10)) {
      const rows = numbers(1_000).map((index) => {
        const id = (batch - 1) * 1_000 + index;
        const time = new Date(Date.UTC(2024, 0, 1) + id * 3_000_000).toISOString().slice(0, 19).replace('T', ' ');
        return `('Post ${id}', '${'text '.repeat(40)}', ${(id % 500) + 1}, '${time}', '${time}')`;
      });
      await database.execute(
        `INSERT INTO posts (title, content, user_id, created_at, updated_at) VALUES ${rows.join(', ')}`,
      );
    }
    await database.query('ANALYZE TABLE posts, users');
    client = await dial(own.schema);
    // MySQL 9 prints a tree unless told otherwise; MariaDB has no such setting and needs none.
    await client.query("SET explain_format = 'TRADITIONAL'").catch(() => undefined);
  }, 60_000);
  afterAll(async () => {
    client.destroy();
    await own.remove();
  });

  const explain = async (sql: string, params: readonly string[] = []): Promise<Step[]> => {
    const [rows] = await client.query<(RowDataPacket & Step)[]>({
      sql: `EXPLAIN ${sql}`,
      values: [...params],
      rowsAsArray: false,
    });
    return rows.map(({ table, type, key, Extra }) => ({ table, type, key, Extra: Extra ?? '' }));
  };
  const statements = buildStatements(posts, {
    name: 'mysql',
    integer: 'CAST(CAST(? AS CHAR) AS UNSIGNED)',
    forUpdate: ' FOR UPDATE',
    forShare: ' LOCK IN SHARE MODE',
  });

  /** Users are looked up by their key, once per post, after the posts are in order. */
  const expectLookup = (steps: readonly Step[], first: string): void => {
    expect(steps.map(({ Extra }) => Extra).join(' ')).not.toContain('Using temporary');
    expect(steps[0]?.table).toBe(first);
    expect(steps[1]).toMatchObject({ table: 'e', type: 'eq_ref', key: 'PRIMARY' });
  };

  test('all posts', async () => {
    const steps = await explain(statements.selectAll);
    expectLookup(steps, 't');
    expect(steps).toHaveLength(2);
  });

  test.each([
    ['the first page', 'first', []],
    ['a later page', 'after-time', cursor],
    ['a page of posts without a time', 'after-null', ['5000']],
  ] as const)('%s', async (_page, start, params) => {
    const steps = await explain(statements.selectPage(21, start), params);
    expectLookup(steps, '<derived2>');
    expect(steps[2]?.table).toBe('t');
    expect(steps).toHaveLength(3);
    if (shape === 'tables of its own') {
      expect(steps[2]?.key).toBe('posts_created_at_id_index');
      // There are no posts without a time here: sorting none of them costs nothing.
      if (start !== 'after-null') expect(steps[2]?.Extra).not.toContain('Using filesort');
    }
  });

  test('one post', async () => {
    const steps = await explain(statements.selectItem, ['5000']);
    expect(steps.map(({ type, key }) => ({ type, key }))).toEqual([
      { type: 'const', key: 'PRIMARY' },
      { type: 'const', key: 'PRIMARY' },
    ]);
  });

  test('some posts', async () => {
    const steps = await explain(statements.selectItems(4), ['5000', '7', '9000', '7']);
    expect(steps.map(({ type, key }) => ({ type, key }))).toEqual([
      { type: 'range', key: 'PRIMARY' },
      { type: 'eq_ref', key: 'PRIMARY' },
    ]);
  });

  test.each(['update', 'remove'] as const)('%s finds its row by the key', async (what) => {
    const sql = { update: statements.update(['title']), remove: statements.remove }[what];
    const steps = await explain(sql, what === 'update' ? ['t', '5000'] : ['5000']);
    expect(steps).toHaveLength(1);
    expect(steps[0]?.key).toBe('PRIMARY');
    expect(['const', 'range']).toContain(steps[0]?.type);
  });

  test('the row to be changed and what it shows are found by their keys', async () => {
    const steps = await explain(statements.selectForUpdate, ['5000']);
    expect(steps.map(({ type, key }) => ({ type, key }))).toEqual(
      Array.from({ length: 4 }, () => ({ type: 'const', key: 'PRIMARY' })),
    );
  });
});
