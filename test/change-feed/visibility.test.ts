import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/cache/clock.ts';
import type { RowChange } from '../../src/change-feed/change-source.ts';
import { untilSeen } from '../../src/change-feed/visibility.ts';
import type { SqlValue } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';

const row = (id: number, title: string): Record<string, SqlValue> => ({
  id,
  title,
  content: 'c',
  created_at: null,
  updated_at: null,
  user_id: 1,
});
const change = (before: RowChange['before'], after: RowChange['after'], table = 'posts'): RowChange => ({
  type: 'row',
  table,
  before,
  after,
  place: '1',
});

describe.each(databases)('what the log tells of before it is seen ($name)', ({ open }) => {
  let own: OwnDatabase;

  beforeEach(async () => {
    own = await open();
    await migrate(own.database);
    await own.database.execute("INSERT INTO users (id, name, email, password) VALUES (1, 'a', 'b', 'c')");
    await add(1, 'one');
  });
  afterEach(() => own.remove());

  const add = (id: number, title: string): Promise<unknown> =>
    own.database.execute('INSERT INTO posts (id, title, content, user_id) VALUES (?, ?, ?, 1)', [id, title, 'c']);
  const seen = (changes: readonly RowChange[], mostMs = 60_000): Promise<boolean> =>
    untilSeen(posts, changes, { database: own.database, clock: systemClock, mostMs });

  test('what is seen, was changed again, or is of another table, is not waited for', async () => {
    expect(await seen([change(null, row(1, 'one'))])).toBe(true);
    expect(await seen([])).toBe(true);
    await seen([change(row(1, 'zero'), row(1, 'half'))]);
    await seen([change({ id: 1 }, row(1, 'one'))]);
    await seen([change(row(7, 'seven'), null)]);
    await seen([change(null, row(8, 'eight')), change(row(8, 'eight'), null)]);
    await seen([change(null, row(9, 'nine'), 'users')]);
  });

  test.each<[string, RowChange, string]>([
    [
      'an insert',
      change(null, row(2, 'two')),
      "INSERT INTO posts (id, title, content, user_id) VALUES (2, 'x', 'c', 1)",
    ],
    ['an update', change(row(1, 'one'), row(1, 'new')), "UPDATE posts SET title = 'new' WHERE id = 1"],
    ['a delete', change(row(1, 'one'), null), 'DELETE FROM posts WHERE id = 1'],
    ['another key', change(row(1, 'one'), row(3, 'one')), 'UPDATE posts SET id = 3 WHERE id = 1'],
  ])('%s is waited for', async (_what, told, statement) => {
    let isSeen = false;
    const waiting = seen([told]).then(() => {
      isSeen = true;
    });
    for (let round = 0; round < 5; round += 1) await own.database.query('SELECT 1');
    expect(isSeen).toBe(false);
    await own.database.execute(statement);
    await waiting;
  });

  test('no longer than it may take', async () => {
    await expect(seen([change(row(1, 'one'), null)], 20)).resolves.toBe(false);
  });
});
