import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { addSamples } from '../../src/resources/posts/samples.ts';
import { seedPosts, seedUsers } from '../../src/resources/posts/seed.ts';
import { isAbsent } from '../../src/cache/negative.ts';
import { startDatabaseServer } from '../harness/database-server.ts';
import { databases, openOn, type OwnDatabase } from '../harness/databases.ts';
import { openResource } from '../harness/resources.ts';

describe.each(databases.map(({ name, open }) => [name, open] as const))(
  'rows to try things with, in %s',
  (_name, open) => {
    let own: OwnDatabase;
    let database: Database;
    let opened: ReturnType<typeof openResource>;

    beforeEach(async () => {
      own = await open();
      ({ database } = own);
      await migrate(database);
      opened = openResource(database);
    });
    afterEach(async () => {
      await opened.cache.close();
      await own.remove();
    });

    const numbers = async (sql: string): Promise<number[]> => (await database.query(sql)).flat().map(Number);

    test('seeds users in batches, reports after each, and hands out their ids', async () => {
      const reports: number[] = [];
      const ids = await seedUsers(database, 1_100, (done) => reports.push(done));
      expect(reports).toEqual([500, 1_000, 1_100]);
      expect(await numbers('SELECT id FROM users ORDER BY id')).toEqual(ids.map(Number));
    });

    test('seeds more users beside those of an earlier run', async () => {
      const first = await seedUsers(database, 3, () => undefined);
      const second = await seedUsers(database, 3, () => undefined);
      expect(await numbers('SELECT id FROM users ORDER BY id')).toEqual([...first, ...second].map(Number));
    });

    test('seeds posts of all the users, newest last, within the last year', async () => {
      const reports: number[] = [];
      const users = await seedUsers(database, 7, () => undefined);
      await seedPosts(opened.cache, database, users, 1_050, (done) => reports.push(done));
      expect(reports).toEqual([500, 1_000, 1_050]);
      expect(await numbers('SELECT COUNT(*) FROM posts GROUP BY user_id')).toEqual(users.map(() => 150));
      expect(await numbers('SELECT id FROM posts ORDER BY created_at, id')).toEqual(
        await numbers('SELECT id FROM posts ORDER BY id'),
      );
      const [range] = await database.query('SELECT MIN(created_at), MAX(created_at) FROM posts');
      const ages = (range ?? []).map(
        (time) => (Date.now() - Date.parse(`${String(time).replace(' ', 'T')}Z`)) / 86_400_000,
      );
      expect(ages[0]).toBeGreaterThan(360);
      expect(ages[0]).toBeLessThan(366);
      expect(ages[1]).toBeGreaterThanOrEqual(-0.01);
      expect(ages[1]).toBeLessThan(1);
      expect(await numbers('SELECT COUNT(DISTINCT content) FROM posts')).toEqual([1_050]);
    });

    test('posts that are seeded are seen at once, whatever was cached', async () => {
      const users = await seedUsers(database, 1, () => undefined);
      const before = await Promise.all([
        opened.reader.readAll(),
        opened.reader.readItem('1'),
        opened.reader.readItem('12'),
      ]);
      expect(before.map((answer) => answer.value.toString())).toEqual(['[]', 'null', 'null']);
      await seedPosts(opened.cache, database, users, 12, () => undefined);
      expect(JSON.parse((await opened.reader.readAll()).value.toString())).toHaveLength(12);
      const after = await Promise.all(['1', '12', '13'].map((id) => opened.reader.readItem(id)));
      expect(after.map(isAbsent)).toEqual([false, false, true]);
    });

    test('posts are seeded while the store of the cache is away: the outbox has their names', async () => {
      const users = await seedUsers(database, 1, () => undefined);
      opened.store.cut.add('fence').add('release');
      await seedPosts(opened.cache, database, users, 3, () => undefined);
      const names = (await database.query('SELECT cache_key FROM cache_outbox ORDER BY id')).flat();
      expect(names.toSorted()).toEqual(['post:1', 'post:2', 'post:3', 'posts:all', 'posts:rows:0']);
    });

    test('the samples fill empty tables once, and leave others alone', async () => {
      await addSamples(database);
      await addSamples(database);
      const rows = await database.query(
        'SELECT title, name FROM posts p JOIN users u ON u.id = p.user_id ORDER BY p.id',
      );
      expect(rows).toEqual([
        ['Welcome to EnergeX', 'Ada Lovelace'],
        ['Read it twice', 'Grace Hopper'],
        ['Change it', 'Alan Turing'],
      ]);
      await database.execute('DELETE FROM posts');
      await addSamples(database);
      expect(await database.query('SELECT id FROM posts')).toEqual([]);
    });
  },
);

test('on a server whose ids go in steps of seven, as Galera sets them, the right keys are invalidated', async () => {
  const server = await startDatabaseServer('mariadb', { ownProcess: true, config: ['--auto-increment-increment=7'] });
  const own = await openOn(server);
  const opened = openResource(own.database);
  try {
    await migrate(own.database);
    const users = await seedUsers(own.database, 3, () => undefined);
    const fenced: string[] = [];
    const { fence } = opened.store;
    opened.store.fence = async (names, ...rest) => {
      fenced.push(...names);
      await fence(names, ...rest);
    };
    await seedPosts(opened.cache, own.database, users, 3, () => undefined);
    const ids = (await own.database.query('SELECT id FROM posts ORDER BY id')).flat().map(String);
    expect(Number(ids[1]) - Number(ids[0])).toBe(7);
    expect(fenced.toSorted()).toEqual([...ids.map((id) => `post:${id}`), 'posts:all', 'posts:rows:0'].toSorted());
  } finally {
    await opened.cache.close();
    await own.remove();
    await server.stop();
  }
});
