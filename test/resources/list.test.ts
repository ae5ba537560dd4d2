import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { toBuffer } from '../../src/cache/rope.ts';
import type { Database, Row } from '../../src/database/database.ts';
import { readMeta } from '../../src/resources/meta.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';
import { always, openResource, prepareTables } from '../harness/resources.ts';
import { textOf } from '../harness/segmented.ts';
import { Random } from '../simulation/random.ts';

/** A list of many rows, in segments, over each database: always equal to what one SELECT in order says. */
describe.each(databases.map(({ name, open }) => [name, open] as const))('a long list from %s', (_name, open) => {
  let own: OwnDatabase;
  let database: Database;
  let userId: string;
  let opened: ReturnType<typeof openResource>;
  /** What the service has asked the database for since the test looked last: statement and number of rows. */
  let asked: { sql: string; rows: number }[] = [];

  beforeAll(async () => {
    own = await open();
    database = new Proxy(own.database, {
      get: (target, name) => {
        if (name === 'query') return query;
        if (name === 'load') return load;
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      },
    });
    userId = await prepareTables(own.database);
  });
  beforeEach(async () => {
    await own.database.execute('DELETE FROM posts');
    opened = openResource(database);
    asked = [];
  });
  afterEach(() => opened.cache.close());
  afterAll(() => own.remove());

  async function query(sql: string, params?: Parameters<Database['query']>[1]): Promise<Row[]> {
    const rows = await own.database.query(sql, params);
    asked.push({ sql, rows: rows.length });
    return rows;
  }

  const load: Database['load'] = async (sql, params) => ({ rows: await query(sql, params) });

  async function add(rows: readonly { id: number | string; at: string | null }[]): Promise<void> {
    const { integer } = own.database.dialect;
    for (let from = 0; from < rows.length; from += 200) {
      const some = rows.slice(from, from + 200);
      const values = some.map(() => `(${integer}, ?, 'content', ${integer}, ?)`).join(', ');
      await own.database.execute(
        `INSERT INTO posts (id, title, content, user_id, created_at) VALUES ${values}`,
        some.flatMap(({ id, at }) => [id, `title of ${id}`, userId, at]),
      );
    }
  }

  const minute = (index: number): string =>
    new Date(Date.UTC(2025, 0, 1, 0, index)).toISOString().slice(0, 19).replace('T', ' ');
  const inTime = (count: number) => Array.from({ length: count }, (_, index) => ({ id: index + 1, at: minute(index) }));

  async function expectRight(): Promise<ReturnType<typeof readMeta>> {
    const rows = await own.database.query('SELECT id, title FROM posts ORDER BY created_at DESC, id DESC');
    const answer = await opened.reader.readAll();
    const text = textOf(answer);
    const list: { user: unknown }[] = JSON.parse(text);
    // By their digits: parsed, large ids lose the last ones.
    const found = [...text.matchAll(/\{"id":(\d+),"title":"([^"]*)"/g)].map(([, id, title]) => [id, title]);
    expect(found).toEqual(rows.map(([id, title]) => [String(id), title]));
    expect(list).toHaveLength(rows.length);
    for (const { user } of list) expect(user).toEqual({ id: Number(userId), name: 'Ada', email: 'Ada@example.com' });
    return readMeta(answer.meta);
  }

  test('it is loaded in few statements, and each row once', async () => {
    await add(inTime(1_500));
    expect((await expectRight()).segments).toEqual({ first: 0n, last: 11n });
    expect(asked.map(({ rows }) => rows)).toEqual([1, 1_500]);
  });

  test('a write costs the rows of one segment, be it an update, a new row or one that goes', async () => {
    await add(inTime(1_500));
    const { etag } = await expectRight();
    const writes: (() => Promise<unknown>)[] = [
      () => opened.writer.update('700', { title: 'changed' }, always),
      () => opened.writer.create({ title: 'new', content: 'c', user_id: userId }),
      () => opened.writer.remove('3', undefined, always),
    ];
    const tags = new Set([etag]);
    for (const write of writes) {
      await write();
      asked = [];
      tags.add((await expectRight()).etag);
      const rows = asked.map((each) => each.rows);
      expect(rows[0]).toBe(1);
      expect(rows[1]).toBeLessThanOrEqual(128);
      expect(rows).toHaveLength(2);
    }
    expect(tags.size).toBe(4);
  });

  test('another process puts it together without the database', async () => {
    await add(inTime(900));
    const { etag } = await expectRight();
    asked = [];
    const other = openResource(database, posts, {}, opened.store);
    const answer = await other.reader.readAll();
    expect([answer.outcome.kind, readMeta(answer.meta).etag, asked]).toEqual(['hit', etag, []]);
    await other.cache.close();
  });

  test('the entity tag is the same whichever way the list was loaded', async () => {
    await add(inTime(700));
    const { etag } = await expectRight();
    opened.store.cut.add('validate').add('read').add('acquire');
    expect((await expectRight()).etag).toBe(etag);
    opened.store.cut.clear();
    await opened.writer.update('5', { title: 'changed' }, always);
    expect((await expectRight()).etag).not.toBe(etag);
    await opened.writer.update('5', { title: 'title of 5' }, always);
    // `updated_at` is another one by now, unless it was none.
    await own.database.execute('UPDATE posts SET updated_at = NULL');
    await opened.cache.invalidateAll('post');
    expect((await expectRight()).etag).toBe(etag);
  });

  test('a list that is read while a write is committing is what was committed, and costs one segment', async () => {
    await add(inTime(900));
    await expectRight();
    await opened.cache.write(async (beforeCommit) => {
      await beforeCommit(posts.keysAffectedBy('200'), async () => undefined);
      asked = [];
      await expectRight();
      expect(asked.map(({ rows }) => rows)).toEqual([128]);
      await own.database.execute("UPDATE posts SET title = 'committed' WHERE id = 200");
    });
    await expectRight();
  });

  test('rows beside a committing write that are gone, and a table that is empty by then', async () => {
    await add(inTime(900));
    await expectRight();
    await opened.cache.write(async (beforeCommit) => {
      await beforeCommit([...posts.keysAffectedBy('200'), ...posts.keysAffectedBy('300')], async () => undefined);
      await own.database.execute('DELETE FROM posts WHERE id BETWEEN 128 AND 255');
      await expectRight();
      await own.database.execute('DELETE FROM posts');
      await expectRight();
    });
    await expectRight();
  });

  test('a short list is loaded whole with one statement, and in segments once it has grown', async () => {
    await add(inTime(20));
    await expectRight();
    await opened.cache.invalidate(posts.keysAffectedBy('1'));
    asked = [];
    expect((await expectRight()).segments).toBeUndefined();
    expect(asked).toHaveLength(1);
    await add(inTime(1_000).slice(20));
    await opened.cache.invalidateAll('post');
    expect((await expectRight()).segments).toBeUndefined();
    await opened.writer.update('5', { title: 'changed' }, always);
    expect((await expectRight()).segments).toEqual({ first: 0n, last: 7n });
  });

  test('a database that fails while segments are loaded fails the read, and the next one succeeds', async () => {
    await add(inTime(900));
    const { query: real } = own.database;
    let fails = true;
    own.database.query = async (sql, params) => {
      if (fails && sql.includes('BETWEEN')) throw new Error('gone');
      return await real.call(own.database, sql, params);
    };
    try {
      await expect(opened.reader.readAll()).rejects.toThrow('gone');
      fails = false;
      await expectRight();
    } finally {
      own.database.query = real;
    }
  });

  test('whatever is changed, in whatever order of times, it is right', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = new Random(seed);
    const at = (): string | null => (random.chance(0.05) ? null : minute(random.below(2_000)));
    const ids = Array.from({ length: 1_200 }, (_, index) => index * 2 + 1);
    await add(ids.map((id) => ({ id, at: random.chance(0.9) ? minute(id) : at() })));
    try {
      for (let round = 0; round < 25; round += 1) {
        const id = String(random.pick(ids));
        await opened.writer.update(id, { title: `round ${round}` }, always).catch(() => undefined);
        if (random.chance(0.3))
          await opened.writer.remove(String(random.pick(ids)), undefined, always).catch(() => undefined);
        if (random.chance(0.3)) await opened.writer.create({ title: 'n', content: 'c', user_id: userId });
        if (random.chance(0.3)) {
          // Behind the back of the service, which is then told.
          await own.database.execute(`UPDATE posts SET created_at = ? WHERE id = ${own.database.dialect.integer}`, [
            at(),
            id,
          ]);
          await opened.cache.invalidate(posts.keysAffectedBy(id));
        }
        if (random.chance(0.1)) opened = openResource(database);
        await expectRight();
      }
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  });

  test('bytes of the list are the same as of the pages it is made of', async () => {
    await add(inTime(700));
    const list = toBuffer((await opened.reader.readAll()).value).toString();
    const pages: string[] = [];
    let after: string | undefined;
    do {
      const page = await opened.reader.readPage(100, after);
      pages.push(textOf(page).slice(1, -1));
      after = readMeta(page.meta).next;
    } while (after !== undefined);
    expect(list).toBe(`[${pages.join(',')}]`);
  });

  // Last, because the ids that follow are as large.
  test('ids that are far apart: the list is loaded whole', async () => {
    await add([
      { id: 1, at: minute(1) },
      { id: '4611686018427387904', at: minute(2) },
      ...(own.database.dialect.name === 'sqlite' ? [] : [{ id: '18446744073709551615', at: minute(3) }]),
    ]);
    expect((await expectRight()).segments).toBeUndefined();
    await opened.writer.update('1', { title: 'changed' }, always);
    await expectRight();
  });
});
