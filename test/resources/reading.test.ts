import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { createdAt, identifier, text } from '../../src/resources/columns.ts';
import { isAbsent } from '../../src/cache/negative.ts';
import { entityTag, readMeta } from '../../src/resources/meta.ts';
import { encodeCursor } from '../../src/resources/cursor.ts';
import { toBuffer } from '../../src/cache/rope.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { defineResource } from '../../src/resources/resource.ts';
import type { Answer } from '../../src/cache/answer.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';
import { addPost, openResource, prepareTables } from '../harness/resources.ts';

/** Its methods need their `this`. */
const bound = (database: Database): Database => ({
  dialect: database.dialect,
  origin: database.origin,
  query: (sql, params) => database.query(sql, params),
  execute: (sql, params) => database.execute(sql, params),
  transaction: (work, options) => database.transaction(work, options),
  load: (sql, params, since) => database.load(sql, params, since),
  ping: () => database.ping(),
  close: () => database.close(),
});

const json = ({ value }: Answer): unknown => JSON.parse(value.toString());

describe.each(databases.map(({ name, open }) => [name, open] as const))('reading from %s', (_name, open) => {
  let own: OwnDatabase;
  let database: Database;
  let userId: string;
  let opened: ReturnType<typeof openResource>;

  beforeAll(async () => {
    own = await open();
    ({ database } = own);
    userId = await prepareTables(database);
  });
  beforeEach(async () => {
    await database.execute('DELETE FROM posts');
    opened = openResource(database);
  });
  afterEach(() => opened.cache.close());
  afterAll(() => own.remove());

  test('a post is read with its author, and nothing else of the author', async () => {
    const id = await addPost(database, userId, 'Hello 😀');
    expect(json(await opened.reader.readItem(id))).toEqual({
      id: Number(id),
      title: 'Hello 😀',
      content: 'content',
      created_at: '2025-01-01T00:00:00Z',
      updated_at: '2025-01-01T00:00:00Z',
      user_id: Number(userId),
      user: { id: Number(userId), name: 'Ada', email: 'Ada@example.com' },
    });
  });

  test('posts that are read in one turn come in as few queries as can be, each with its own row', async () => {
    const ids: string[] = [];
    for (let count = 1; count <= 19; count += 1) ids.push(await addPost(database, userId, `T${count}`));
    const queried: number[] = [];
    const counting = openResource({
      ...bound(database),
      load: async (sql, params) => {
        queried.push(params.length);
        return await database.load(sql, params);
      },
    });
    const wanted = [...ids, '18446744073709551615', '9007199254740993'];
    const answers = await Promise.all(wanted.map((id) => counting.reader.readItem(id)));
    expect(queried).toEqual([16, 8]);
    expect(answers.slice(0, ids.length).map((answer) => Object(json(answer)).title)).toEqual(
      ids.map((_, index) => `T${index + 1}`),
    );
    expect(answers.slice(ids.length).map(isAbsent)).toEqual([true, true]);
    await counting.cache.close();
  });

  test('the second read is a hit with the same bytes and the same tag, for ten minutes less the jitter', async () => {
    const id = await addPost(database, userId, 'T');
    const first = await opened.reader.readItem(id);
    const second = await opened.reader.readItem(id);
    expect(first.outcome).toEqual({ kind: 'loaded', stored: true });
    expect(second.outcome.kind).toBe('hit');
    expect(toBuffer(second.value).equals(toBuffer(first.value))).toBe(true);
    expect(readMeta(second.meta)).toEqual({ etag: entityTag(toBuffer(first.value)), next: undefined });
    const ttlMs = second.outcome.kind === 'hit' ? second.outcome.ttlMs : 0;
    expect(ttlMs).toBeGreaterThan(530_000);
    expect(ttlMs).toBeLessThanOrEqual(600_000);
  });

  test('a post that does not exist is absent, which is kept for a short time', async () => {
    const first = await opened.reader.readItem('4711');
    expect(isAbsent(first)).toBe(true);
    const second = await opened.reader.readItem('4711');
    expect(isAbsent(second)).toBe(true);
    expect(second.outcome.kind === 'hit' ? second.outcome.ttlMs : Infinity).toBeLessThanOrEqual(30_000);
  });

  test('a post is never taken for absent, and ids that differ past 2^53 are different posts', async () => {
    const id = '9007199254740993';
    await database.execute(
      `INSERT INTO posts (id, title, content, user_id) VALUES (${database.dialect.integer}, 'null', 'null', ${database.dialect.integer})`,
      [id, userId],
    );
    const answer = await opened.reader.readItem(id);
    expect(isAbsent(answer)).toBe(false);
    expect(answer.value.toString()).toContain(`{"id":${id},"title":"null"`);
    expect(isAbsent(await opened.reader.readItem('9007199254740992'))).toBe(true);
    expect(isAbsent(await opened.reader.readItem('18446744073709551615'))).toBe(true);
  });

  test('an empty table is an empty list', async () => {
    expect((await opened.reader.readAll()).value.toString()).toBe('[]');
    const page = await opened.reader.readPage(5, undefined);
    expect([page.value.toString(), readMeta(page.meta).next]).toEqual(['[]', undefined]);
  });

  /** Posts of many times, equal ones and none among them; the ids in the order of the list. */
  const addMany = async (): Promise<number[]> => {
    const times = ['2025-01-03 00:00:00', '2025-01-01 00:00:00', null, '2025-01-02 00:00:00'];
    const rows: { id: number; time: string | null }[] = [];
    for (let number = 0; number < 26; number += 1) {
      const time = times[number % times.length] ?? null;
      rows.push({ id: Number(await addPost(database, userId, `T${number}`, time)), time });
    }
    return rows.toSorted((a, b) => (b.time ?? '').localeCompare(a.time ?? '') || b.id - a.id).map(({ id }) => id);
  };

  const idsOf = (answer: Answer): number[] => (json(answer) as { id: number }[]).map(({ id }) => id);

  test('the whole list is newest first, posts without a time last, equal times by id', async () => {
    const ids = await addMany();
    expect(idsOf(await opened.reader.readAll())).toEqual(ids);
  });

  test.each([1, 2, 3, 7, 25, 26, 27, 100])(
    'pages of %i walk through every post exactly once, in the order of the list',
    async (limit) => {
      const ids = await addMany();
      const pages: number[][] = [];
      let after: string | undefined;
      do {
        const page = await opened.reader.readPage(limit, after);
        pages.push(idsOf(page));
        after = readMeta(page.meta).next;
      } while (after !== undefined && pages.length <= ids.length);
      expect(pages.flat()).toEqual(ids);
      expect(pages).toHaveLength(Math.ceil(ids.length / limit));
    },
  );

  test('a page starts behind its cursor, whether or not the post of the cursor is still there', async () => {
    const ids = await addMany();
    const page = await opened.reader.readPage(10, undefined);
    const last = ids[9] ?? 0;
    await database.execute(`DELETE FROM posts WHERE id = ${database.dialect.integer}`, [last]);
    const next = await opened.reader.readPage(10, readMeta(page.meta).next);
    expect(idsOf(next)).toEqual(ids.slice(10, 20));
  });

  test('a page behind the last post is empty', async () => {
    await addMany();
    const page = await opened.reader.readPage(10, encodeCursor({ createdAt: null, id: '1' }));
    expect([idsOf(page), readMeta(page.meta).next]).toEqual([[], undefined]);
  });

  test('text that is no cursor is refused before anything is asked', async () => {
    await expect(opened.reader.readPage(10, 'x')).rejects.toMatchObject({ code: 'INVALID_PARAMETER' });
    expect(opened.store.asked).toEqual([]);
  });

  test('a page and the whole list are invalidated together with a post', async () => {
    const id = await addPost(database, userId, 'before');
    await Promise.all([opened.reader.readAll(), opened.reader.readPage(5, undefined), opened.reader.readItem(id)]);
    await database.execute("UPDATE posts SET title = 'after'");
    await opened.cache.invalidate(posts.keysAffectedBy(id));
    const answers = [
      await opened.reader.readAll(),
      await opened.reader.readPage(5, undefined),
      await opened.reader.readItem(id),
    ];
    for (const { value } of answers) expect(value.toString()).toContain('"title":"after"');
  });

  test('a read that fails is an error for who asked, and is not kept', async () => {
    await database.execute('DROP TABLE posts');
    await expect(opened.reader.readAll()).rejects.toThrow();
    await migrate(database);
    expect((await opened.reader.readAll()).value.toString()).toBe('[]');
  });

  test('a resource without an embedded row and an owner is read and written like any other', async () => {
    const notes = defineResource({
      name: 'notes',
      item: 'note',
      table: 'notes',
      columns: { id: identifier(), body: text({}), created_at: createdAt() },
      events: { created: 'note_new', updated: 'note_updated', deleted: 'note_deleted' },
      ttl: { list: 1_000, item: 1_000, absent: 1_000 },
    });
    const key =
      database.dialect.name === 'mysql'
        ? 'BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY'
        : 'INTEGER PRIMARY KEY AUTOINCREMENT';
    await database.execute(`CREATE TABLE notes (id ${key}, body VARCHAR(50) NOT NULL, created_at TIMESTAMP NULL)`);
    const { reader, writer, cache, events } = openResource(database, notes);
    const { id } = await writer.create({ body: 'first' });
    expect(JSON.parse(await writer.update(id, { body: 'second' }, () => true))).toMatchObject({ body: 'second' });
    expect(json(await reader.readAll())).toMatchObject([{ id: Number(id), body: 'second' }]);
    await writer.remove(id, '12345', () => true);
    expect(events.map(({ event }) => event)).toEqual(['note_new', 'note_updated', 'note_deleted']);
    await cache.close();
  });
});

test('an entity tag is strong, quoted, and that of the bytes', () => {
  expect(entityTag('{}')).toMatch(/^"[\w-]{22}"$/);
  expect(entityTag('{}')).toBe(entityTag(Buffer.from('{}')));
  expect(entityTag('{}')).not.toBe(entityTag('{ }'));
});
