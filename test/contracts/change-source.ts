import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Change, ChangeSource, ChangeStream, Position, RowChange } from '../../src/change-feed/change-source.ts';
import { placeOf } from '../../src/change-feed/change-source.ts';
import type { Database } from '../../src/database/database.ts';
import { eventually } from '../harness/eventually.ts';

/** One implementation of the port over empty tables `users` and `posts`, which it follows, and `others`, which it does not. */
export interface SourceUnderTest {
  readonly source: ChangeSource;
  /** Another program's way to the tables. */
  readonly database: Database;
  /** Whether TRUNCATE and DDL can be told of. */
  readonly tellsOfTables: boolean;
  /** Whether changes that are told of again have the same places, in the order of the commits. */
  readonly keepsPlaces: boolean;
  close(): Promise<void>;
}

export const followed = ['posts', 'users'];

/** Takes changes until a boundary behind which all of `rows` have come. */
export async function take(
  stream: ChangeStream,
  rows: number,
  { limit = 100, done = false }: { limit?: number; done?: boolean } = {},
): Promise<Change[]> {
  const taken: Change[] = [];
  while (taken.filter(({ type }) => type === 'row').length < rows || taken.at(-1)?.type !== 'boundary') {
    const some = await stream.next(limit);
    expect(some.length).toBeGreaterThan(0);
    expect(some.length).toBeLessThanOrEqual(limit);
    taken.push(...some);
    const boundary = some.findLast((change) => change.type === 'boundary');
    if (done && boundary !== undefined) await stream.done(boundary.position);
  }
  return taken;
}

export const rowsOf = (changes: readonly Change[]): RowChange[] => changes.filter((change) => change.type === 'row');

/** What every `ChangeSource` must hold: run against each implementation. */
export function describeChangeSource(name: string, open: () => Promise<SourceUnderTest>): void {
  describe(`the port ChangeSource, held by ${name}`, () => {
    let tested: SourceUnderTest;
    let database: Database;
    let start: Position;
    const streams: ChangeStream[] = [];

    const follow = async (from: Position): Promise<ChangeStream> => {
      const stream = await tested.source.open(from, followed);
      streams.push(stream);
      return stream;
    };
    const addUser = (id: number): Promise<unknown> =>
      database.execute("INSERT INTO users (id, name, email, password) VALUES (?, ?, ?, 'secret')", [
        id,
        `Name ${id}`,
        `${id}@example.com`,
      ]);
    const addPost = (id: number, title = `Title ${id}`): Promise<unknown> =>
      database.execute(
        "INSERT INTO posts (id, title, content, user_id, created_at) VALUES (?, ?, 'c', 1, '2025-01-01 10:20:30')",
        [id, title],
      );

    beforeAll(async () => {
      tested = await open();
      ({ database } = tested);
    });
    beforeEach(async () => {
      const drained = await follow(await tested.source.end());
      await database.execute('DELETE FROM posts');
      await database.execute('DELETE FROM users');
      await addUser(1);
      // Whatever is told of the tidying up is behind us.
      for (;;) {
        const changes = await drained.next(1_000);
        const last = changes.findLast((change) => change.type === 'boundary');
        if (last !== undefined) await drained.done(last.position);
        if (rowsOf(changes).some(({ before, table }) => before === null && table === 'users')) break;
      }
      await drained.close();
      start = await tested.source.end();
    });
    afterEach(async () => {
      for (const stream of streams.splice(0)) await stream.close();
    });
    afterAll(() => tested.close());

    test('inserts, updates and deletes come in order, with the row before and after, and their transactions end', async () => {
      const stream = await follow(start);
      const changes: Change[] = [];
      const does = async (change: Promise<unknown>): Promise<void> => {
        await change;
        changes.push(...(await take(stream, 1, { done: true })));
      };
      await does(addPost(7, 'שלום 😀'));
      await does(database.execute("UPDATE posts SET title = 'new' WHERE id = 7"));
      await does(database.execute('DELETE FROM posts WHERE id = 7'));
      const before = tested.keepsPlaces ? { id: 7, title: 'new' } : { id: 7 };
      const old = {
        id: 7,
        title: 'שלום 😀',
        content: 'c',
        user_id: 1,
        created_at: '2025-01-01 10:20:30',
        updated_at: null,
      };
      expect(rowsOf(changes).map(({ table, before, after }) => ({ table, before, after }))).toEqual([
        { table: 'posts', before: null, after: expect.objectContaining(old) },
        {
          table: 'posts',
          before: expect.objectContaining({ id: 7 }),
          after: expect.objectContaining({ title: 'new' }),
        },
        { table: 'posts', before: expect.objectContaining(before), after: null },
      ]);
      const places = rowsOf(changes).map(({ place }) => place);
      expect(places).toEqual([...new Set(places)].toSorted());
    });

    test('other tables, and transactions that were rolled back, are not told of', async () => {
      const stream = await follow(start);
      await database.execute("INSERT INTO others (id, name) VALUES (1, 'x')");
      await database
        .transaction(async (transaction) => {
          await transaction.execute("UPDATE users SET name = 'never' WHERE id = 1");
          throw new Error('rolled back');
        })
        .catch(() => undefined);
      await addPost(1);
      expect(rowsOf(await take(stream, 1))).toMatchObject([{ table: 'posts', after: { id: 1 } }]);
    });

    test('who starts at a boundary hears what is behind it, with the same places as before', async () => {
      const first = await follow(start);
      for (const id of [1, 2, 3]) await addPost(id);
      const heard = await take(first, 3);
      await first.close();
      const again = await follow(start);
      const same = rowsOf(await take(again, 3));
      expect(same.map(({ after }) => after)).toEqual(rowsOf(heard).map(({ after }) => after));
      if (tested.keepsPlaces) expect(same).toEqual(rowsOf(heard));
      // Others use the same server, and their transactions end too.
      const begun = heard.findIndex(({ type }) => type === 'row');
      const boundary = heard.slice(begun).find((change) => change.type === 'boundary');
      if (boundary === undefined) throw new Error('no boundary');
      await again.done(boundary.position);
      await again.close();
      await addPost(4);
      const behind = await follow(boundary.position);
      const ids: number[] = [];
      while (!ids.includes(4)) {
        const rows = rowsOf(await take(behind, 1));
        ids.push(...rows.map(({ after }) => Number(after?.['id'])));
      }
      expect(ids).not.toContain(1);
    });

    test('a transaction of 20,000 rows is read a part at a time, and ends once', async () => {
      const stream = await follow(start);
      const values = Array.from({ length: 1_000 }, (_, index) => `(${index + 1}, 't', 'c', 1)`).join(', ');
      await database.transaction(async (transaction) => {
        for (let part = 0; part < 20; part += 1) {
          const shifted = values.replaceAll(/\((\d+),/g, (_, id) => `(${Number(id) + part * 1_000},`);
          await transaction.execute(`INSERT INTO posts (id, title, content, user_id) VALUES ${shifted}`);
        }
      });
      const changes = await take(stream, 20_000, { limit: 500, done: true });
      expect(rowsOf(changes).map(({ after }) => Number(after?.['id']))).toEqual(
        Array.from({ length: 20_000 }, (_, index) => index + 1),
      );
    });

    test('a reader that waits gets to where the server is', async () => {
      const stream = await follow(start);
      await addPost(1);
      await take(stream, 1);
      const end = await tested.source.end();
      await eventually(async () => placeOf(stream.reached) >= placeOf(end));
      if (tested.keepsPlaces) expect(stream.reached.log).toBe(end.log);
    });

    test('TRUNCATE and DDL of a followed table are told of, of another they are not', async () => {
      if (!tested.tellsOfTables) return;
      const stream = await follow(start);
      await database.execute('TRUNCATE TABLE others');
      await database.execute('TRUNCATE TABLE posts');
      await database.execute('ALTER TABLE users ADD COLUMN nickname VARCHAR(10)');
      await database.execute('ALTER TABLE users DROP COLUMN nickname');
      const heard: string[] = [];
      while (heard.length < 3) {
        for (const change of await stream.next(10)) if (change.type === 'table') heard.push(change.table);
      }
      expect(heard).toEqual(['posts', 'users', 'users']);
    });

    test('a stream that is closed ends: who waits, and who asks, is told', async () => {
      const stream = await follow(start);
      // Others use the same server, and the ends of their transactions are told of too: who waits asks again.
      const waits = async (): Promise<never> => {
        for (;;) await stream.next(1);
      };
      const waiting = expect(waits()).rejects.toThrow('the stream was closed');
      await stream.close();
      await waiting;
      await expect(stream.next(1)).rejects.toThrow('the stream was closed');
    });
  });
}
