import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { isAbsent } from '../../src/cache/negative.ts';
import { entityTag } from '../../src/resources/meta.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';
import { addPost, addUser, always, openResource, prepareTables } from '../harness/resources.ts';

describe.each(databases.map(({ name, open }) => [name, open] as const))('writing to %s', (_name, open) => {
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
    await database.execute('DELETE FROM cache_outbox');
    opened = openResource(database);
  });
  afterEach(() => opened.cache.close());
  afterAll(() => own.remove());

  const read = async (id: string): Promise<string> => (await opened.reader.readItem(id)).value.toString();
  const count = async (table: string): Promise<number> =>
    Number((await database.query(`SELECT COUNT(*) FROM ${table}`))[0]?.[0]);
  const fields = () => ({ title: 'T 😀', content: 'C', user_id: userId });

  describe('creating', () => {
    test('answers the row as it is read afterwards, with its times set by the database, and tells everyone', async () => {
      const { id, json, replayed } = await opened.writer.create(fields());
      expect(replayed).toBe(false);
      const post = JSON.parse(json);
      expect(post).toMatchObject({
        id: Number(id),
        title: 'T 😀',
        content: 'C',
        user_id: Number(userId),
        user: { name: 'Ada' },
      });
      expect(Math.abs(Date.now() - Date.parse(post.created_at))).toBeLessThan(60_000);
      expect(post.updated_at).toBe(post.created_at);
      expect(await read(id)).toBe(json);
      expect(opened.events).toEqual([{ event: 'new_post', data: post }]);
    });

    test('makes the list, its pages and the absence of the post stale', async () => {
      const next = String(BigInt(await addPost(database, userId, 'before')) + 1n);
      await Promise.all([opened.reader.readAll(), opened.reader.readPage(5, undefined)]);
      expect(isAbsent(await opened.reader.readItem(next))).toBe(true);
      const { id, json } = await opened.writer.create(fields());
      expect(id).toBe(next);
      expect(await read(id)).toBe(json);
      for (const { value } of [await opened.reader.readAll(), await opened.reader.readPage(5, undefined)]) {
        expect(value.toString()).toContain(json);
      }
    });

    test('a reference to no row is refused and named, and nothing is changed or told', async () => {
      const failing = opened.writer.create({ ...fields(), user_id: '18446744073709551615' });
      await expect(failing).rejects.toMatchObject({
        code: 'UNKNOWN_REFERENCE',
        message: 'Unknown user_id: no such row',
        fields: [{ field: 'user_id', message: 'user_id refers to no row' }],
      });
      expect([await count('posts'), opened.events, opened.store.asked]).toEqual([0, [], []]);
    });

    test('an error that is no unknown reference stays what it is', async () => {
      const failing = opened.writer.create({ ...fields(), title: null });
      await expect(failing).rejects.not.toHaveProperty('code', 'UNKNOWN_REFERENCE');
      expect(await count('posts')).toBe(0);
    });

    test('an id past 2^53 keeps its digits in the answer, and when a key replays it', async () => {
      const before = '9007199254740993';
      await database.execute(
        `INSERT INTO posts (id, title, content, user_id) VALUES (${database.dialect.integer}, 't', 'c', ${database.dialect.integer})`,
        [before, userId],
      );
      const { id, json } = await opened.writer.create(fields(), 'big');
      expect(id).toBe('9007199254740994');
      expect(json).toContain('{"id":9007199254740994,');
      expect(await opened.writer.create(fields(), 'big')).toEqual({ id, json, replayed: true });
      expect(opened.events).toHaveLength(1);
      await opened.writer.remove(before, undefined, always);
      expect(opened.events[1]).toEqual({ event: 'post_deleted', data: { id: before } });
      await resetIds();
    });
  });

  describe('updating', () => {
    test('changes what is given and nothing else, answers the row, and tells everyone', async () => {
      const id = await addPost(database, userId, 'old');
      await read(id);
      const json = await opened.writer.update(id, { title: 'new' }, always);
      const post = JSON.parse(json);
      expect(post).toMatchObject({ title: 'new', content: 'content', created_at: '2025-01-01T00:00:00Z' });
      expect(Math.abs(Date.now() - Date.parse(post.updated_at))).toBeLessThan(60_000);
      expect(await read(id)).toBe(json);
      expect(opened.events).toEqual([{ event: 'post_updated', data: post }]);
    });

    test('what changes nothing touches no key, keeps the time of the last change, and tells nobody', async () => {
      const id = await addPost(database, userId, 'same');
      const before = await read(id);
      opened.store.asked.length = 0;
      expect(await opened.writer.update(id, { title: 'same', content: 'content' }, always)).toBe(before);
      expect(await opened.writer.update(id, {}, always)).toBe(before);
      expect([opened.store.asked, opened.events]).toEqual([[], []]);
    });

    test('a change of case, of blanks or of composition is a change', async () => {
      const id = await addPost(database, userId, 'Ä');
      for (const title of ['ä', 'ä ', 'a\u0308']) {
        expect(JSON.parse(await opened.writer.update(id, { title }, always)).title).toBe(title);
      }
      expect(opened.events).toHaveLength(3);
    });

    test('a post that does not exist is not found', async () => {
      const failing = opened.writer.update('4711', { title: 't' }, always);
      await expect(failing).rejects.toMatchObject({ code: 'NOT_FOUND', message: 'Post not found' });
      expect([opened.store.asked, opened.events]).toEqual([[], []]);
    });

    test('a precondition is asked with the tag that a reader sees, and stops the change when it does not hold', async () => {
      const id = await addPost(database, userId, 'old');
      const tag = entityTag(await read(id));
      const failing = opened.writer.update(id, { title: 'new' }, (etag) => etag !== tag);
      await expect(failing).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' });
      expect(entityTag(await read(id))).toBe(tag);
      expect(opened.events).toEqual([]);
      expect(JSON.parse(await opened.writer.update(id, { title: 'new' }, (etag) => etag === tag)).title).toBe('new');
    });

    test('of many who update with the same precondition, one succeeds', async () => {
      const id = await addPost(database, userId, 'old');
      const tag = entityTag(await read(id));
      const outcomes = await Promise.allSettled(
        Array.from({ length: 6 }, (_, number) =>
          opened.writer.update(id, { title: `new ${number}` }, (etag) => etag === tag),
        ),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'PRECONDITION_FAILED' });
      }
      expect(opened.events).toHaveLength(1);
    });
  });

  describe('deleting', () => {
    test('removes the row, makes it absent for readers, and tells everyone', async () => {
      const id = await addPost(database, userId, 'gone');
      await read(id);
      await opened.reader.readAll();
      await opened.writer.remove(id, undefined, always);
      expect(isAbsent(await opened.reader.readItem(id))).toBe(true);
      expect((await opened.reader.readAll()).value.toString()).toBe('[]');
      expect(opened.events).toEqual([{ event: 'post_deleted', data: { id: Number(id) } }]);
    });

    test('an owner that is given must be the owner', async () => {
      const other = await addUser(database, `Grace ${Math.random()}`);
      const id = await addPost(database, userId, 'mine');
      const failing = opened.writer.remove(id, other, always);
      await expect(failing).rejects.toMatchObject({
        code: 'NOT_OWNER',
        message: 'Only the owner may delete this post',
      });
      expect([await count('posts'), opened.events]).toEqual([1, []]);
      await opened.writer.remove(id, userId, always);
      expect(await count('posts')).toBe(0);
    });

    test('a post that does not exist, or was deleted a moment ago, is not found', async () => {
      await expect(opened.writer.remove('4711', undefined, always)).rejects.toMatchObject({ code: 'NOT_FOUND' });
      const id = await addPost(database, userId, 'gone');
      const outcomes = await Promise.allSettled([1, 2, 3].map(() => opened.writer.remove(id, undefined, always)));
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(opened.events).toHaveLength(1);
    });

    test('a precondition that does not hold keeps the row', async () => {
      const id = await addPost(database, userId, 'kept');
      await expect(opened.writer.remove(id, undefined, () => false)).rejects.toMatchObject({
        code: 'PRECONDITION_FAILED',
      });
      expect([await count('posts'), opened.events]).toEqual([1, []]);
    });
  });

  describe('while the store of the cache cannot be reached', () => {
    test('a write that is accepted leaves the names in the outbox, in its own transaction', async () => {
      opened.store.cut.add('fence').add('release');
      const { id } = await opened.writer.create(fields());
      expect((await database.query('SELECT cache_key FROM cache_outbox ORDER BY id')).flat()).toEqual([
        `post:${id}`,
        'posts:rows:0',
        'posts:all',
      ]);
      opened.store.cut.clear();
      await opened.cache.sweep();
      expect(await count('cache_outbox')).toBe(0);
    });

    test('a write that is refused changes nothing', async () => {
      const strict = openResource(database, undefined, { withoutStore: 'reject' });
      strict.store.cut.add('fence');
      await expect(strict.writer.create(fields())).rejects.toMatchObject({ code: 'CACHE_UNREACHABLE' });
      expect([await count('posts'), await count('cache_outbox'), strict.events]).toEqual([0, 0, []]);
      await strict.cache.close();
    });
  });

  /** Later ids would follow the greatest there ever was. */
  const resetIds = async (): Promise<void> => {
    await database.execute('DELETE FROM posts');
    if (database.dialect.name === 'mysql') await database.execute('ALTER TABLE posts AUTO_INCREMENT = 1');
    else await database.execute("DELETE FROM sqlite_sequence WHERE name = 'posts'");
  };
});
