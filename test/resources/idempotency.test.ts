import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { forgetOldKeys, IdempotencyKeys } from '../../src/resources/idempotency.ts';
import { databases, dial, lockIsAwaited, openMysql, type OwnDatabase } from '../harness/databases.ts';
import { openResource, prepareTables } from '../harness/resources.ts';

const keys = new IdempotencyKeys('posts');
const now = new Date('2025-06-01T12:00:00Z');
const hourMs = 60 * 60 * 1000;
const after = (hours: number): Date => new Date(now.getTime() + hours * hourMs);

describe.each(databases.map(({ name, open }) => [name, open] as const))('idempotency keys in %s', (_name, open) => {
  let own: OwnDatabase;
  let database: Database;
  let userId: string;

  beforeAll(async () => {
    own = await open();
    ({ database } = own);
    userId = await prepareTables(database);
  });
  beforeEach(async () => {
    await database.execute('DELETE FROM cache_idempotency_keys');
    await database.execute('DELETE FROM posts');
  });
  afterAll(() => own.remove());

  const claim = (key: string, body: unknown = {}, at = now, of = keys) =>
    database.transaction((transaction) => of.claim(transaction, key, body, at));
  const answerWith = (key: string, answer: string, body: unknown = {}, at = now) =>
    database.transaction(async (transaction) => {
      const earlier = await keys.claim(transaction, key, body, at);
      if (earlier === null) await keys.record(transaction, key, answer);
      return earlier;
    });
  const kept = async (): Promise<unknown[]> =>
    (await database.query('SELECT idempotency_key FROM cache_idempotency_keys ORDER BY idempotency_key')).flat();

  test('the first to use a key takes it; who comes later gets the recorded answer', async () => {
    expect(await answerWith('k', '{"id":1,"title":"😀"}', { title: '😀' })).toBeNull();
    expect(await answerWith('k', 'never', { title: '😀' })).toBe('{"id":1,"title":"😀"}');
    expect(await claim('k', { title: '😀' })).toBe('{"id":1,"title":"😀"}');
  });

  test('the same key with another body is refused', async () => {
    await answerWith('k', 'a', { title: 'a' });
    await expect(claim('k', { title: 'b' })).rejects.toMatchObject({
      name: 'CatalogueError',
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    expect(await claim('k', { title: 'a' })).toBe('a');
  });

  test('keys differ by case, and those of different resources do not meet', async () => {
    await answerWith('k', 'a');
    expect(await claim('K')).toBeNull();
    expect(await claim('k', {}, now, new IdempotencyKeys('comments'))).toBeNull();
  });

  test('a transaction that is rolled back leaves the key free', async () => {
    const failing = database.transaction(async (transaction) => {
      await keys.claim(transaction, 'k', {}, now);
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect(await claim('k')).toBeNull();
  });

  test('an error that is no taken key is not swallowed', async () => {
    await database.execute('DROP TABLE cache_idempotency_keys');
    await expect(claim('k')).rejects.not.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await migrate(database);
  });

  test('a key is kept for 24 hours, and then free for any body', async () => {
    await answerWith('k', 'a', { title: 'a' });
    expect(await claim('k', { title: 'a' }, after(24))).toBe('a');
    expect(await answerWith('k', 'b', { title: 'b' }, after(24.01))).toBeNull();
    expect(await claim('k', { title: 'b' }, after(48))).toBe('b');
  });

  test('forgets the keys that are older than 24 hours, of all resources, and no others', async () => {
    await answerWith('old', 'a');
    await claim('old too', {}, now, new IdempotencyKeys('comments'));
    await answerWith('young', 'a', {}, after(1));
    await forgetOldKeys(database, after(24.5));
    expect(await kept()).toEqual(['young']);
  });

  test('a second request with a key waits for the first, then gets its answer', async () => {
    const claimed = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const first = database.transaction(async (transaction) => {
      await keys.claim(transaction, 'k', {}, now);
      claimed.resolve();
      await gate.promise;
      await keys.record(transaction, 'k', 'first');
    });
    await claimed.promise;
    const second = answerWith('k', 'second');
    await untilWaiting();
    gate.resolve();
    await first;
    expect(await second).toBe('first');
  });

  test('a second request takes the key over when the first fails', async () => {
    const claimed = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const first = database.transaction(async (transaction) => {
      await keys.claim(transaction, 'k', {}, now);
      claimed.resolve();
      await gate.promise;
    });
    await claimed.promise;
    const second = answerWith('k', 'second');
    await untilWaiting();
    gate.reject(new Error('failed'));
    await expect(first).rejects.toThrow('failed');
    expect(await second).toBeNull();
    expect(await claim('k')).toBe('second');
  });

  test('creating with one key many times at once makes one row and one event, and the same answer for all', async () => {
    const { writer, events, cache } = openResource(database);
    const fields = { title: 'once', content: 'c', user_id: userId };
    const created = await Promise.all(Array.from({ length: 8 }, () => writer.create(fields, 'k')));
    expect(new Set(created.map(({ id, json }) => `${id} ${json}`)).size).toBe(1);
    expect(created.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(events).toHaveLength(1);
    expect(
      await database.query("SELECT COUNT(*) FROM posts WHERE title = 'once'").then((rows) => Number(rows[0]?.[0])),
    ).toBe(1);
    await expect(writer.create({ ...fields, title: 'other' }, 'k')).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    await cache.close();
  });

  test('creating with different keys at once: nobody gets in the way of another', async () => {
    const many = own.schema === undefined ? database : openMysql(own.schema, { poolSize: 20 });
    const { writer, cache } = openResource(many);
    let transactions = 0;
    const create = async (number: number): Promise<void> => {
      await writer.create({ title: `t${number}`, content: 'c', user_id: userId }, `key-${(number * 7) % 60}`);
      transactions += 1;
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, (_, number) => create(number)));
    expect(outcomes.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect({ transactions, kept: (await kept()).length }).toEqual({ transactions: 60, kept: 60 });
    await cache.close();
    if (many !== database) await many.close();
  });

  test('a key whose row was refused is free again', async () => {
    const { writer, cache } = openResource(database);
    const fields = { title: 't', content: 'c', user_id: '999999' };
    await expect(writer.create(fields, 'k')).rejects.toMatchObject({ code: 'UNKNOWN_REFERENCE' });
    expect(await writer.create({ ...fields, user_id: userId }, 'k')).toMatchObject({ replayed: false });
    await cache.close();
  });

  /** SQLite lets no second transaction begin; elsewhere the second comes to wait for a lock. */
  const untilWaiting = async (): Promise<void> => {
    if (own.schema === undefined) return;
    const watcher = await dial(own.schema);
    await lockIsAwaited(watcher);
    watcher.destroy();
  };
});
