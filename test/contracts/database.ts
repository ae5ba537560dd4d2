import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ConstraintViolation, type Database, type Queryable } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import type { OwnDatabase } from '../harness/databases.ts';

const insertUser = "INSERT INTO users (name, email, password) VALUES (?, ?, '!')";

/** What every `Database` must hold: run against each implementation. */
export function describeDatabase(name: string, open: () => Promise<OwnDatabase>): void {
  describe(`the port Database, held by ${name}`, () => {
    let own: OwnDatabase;
    let database: Database;

    beforeAll(async () => {
      own = await open();
      ({ database } = own);
      await migrate(database);
    }, 60_000);
    afterAll(() => own.remove());
    beforeEach(async () => {
      await database.execute('DROP TABLE IF EXISTS kept');
      await database.execute('DELETE FROM users');
    });

    const addUser = async (to: Queryable, who: string): Promise<string> =>
      (await to.execute(insertUser, [who, `${who}@example.com`])).insertId;
    const names = async (): Promise<unknown[]> =>
      (await database.query('SELECT name FROM users ORDER BY id')).map(([each]) => each);

    test('answers a ping', async () => {
      await expect(database.ping()).resolves.toBeUndefined();
    });

    test('an insert tells the new id in digits, and rows come back as arrays in the order of the columns', async () => {
      const { affectedRows, insertId } = await database.execute(insertUser, ['Ada', 'ada@example.com']);
      expect(affectedRows).toBe(1);
      expect(insertId).toMatch(/^[1-9]\d*$/);
      const rows = await database.query('SELECT email, name, created_at, id FROM users WHERE id = ?', [insertId]);
      expect(rows.map((row) => row.map((value) => (value === null ? null : String(value))))).toEqual([
        ['ada@example.com', 'Ada', null, insertId],
      ]);
    });

    test('a later insert has a greater id', async () => {
      const first = await addUser(database, 'Ada');
      const second = await addUser(database, 'Grace');
      expect(BigInt(second)).toBeGreaterThan(BigInt(first));
    });

    test('counts the rows that a statement matched, whether or not it changed them', async () => {
      await addUser(database, 'Ada');
      await addUser(database, 'Grace');
      const update = (to: string) => database.execute('UPDATE users SET name = ?', [to]);
      expect((await update('same')).affectedRows).toBe(2);
      expect((await update('same')).affectedRows).toBe(2);
      expect((await database.execute('DELETE FROM users WHERE name = ?', ['other'])).affectedRows).toBe(0);
      expect((await database.execute('DELETE FROM users')).affectedRows).toBe(2);
    });

    test('a query without rows answers an empty array', async () => {
      expect(await database.query('SELECT name FROM users')).toEqual([]);
    });

    test('a transaction that resolves is committed, and hands out what its work resolved with', async () => {
      const result = await database.transaction(async (transaction) => {
        await addUser(transaction, 'Ada');
        await addUser(transaction, 'Grace');
        expect(await transaction.query('SELECT name FROM users')).toHaveLength(2);
        return 'done';
      });
      expect(result).toBe('done');
      expect(await names()).toEqual(['Ada', 'Grace']);
    });

    test('a transaction begins with its opening, whose rows its work gets', async () => {
      await addUser(database, 'Ada');
      const select = "SELECT name, email FROM users WHERE name = 'Ada'";
      const result = await database.transaction(
        async (transaction, opened) => {
          await addUser(transaction, 'Grace');
          return opened;
        },
        { opening: select },
      );
      expect(result).toEqual([['Ada', 'Ada@example.com']]);
      expect(await names()).toEqual(['Ada', 'Grace']);
      expect(await database.transaction(async (_, opened) => opened)).toEqual([]);
      const failing = database.transaction(async () => 'begun', { opening: 'SELECT nothing FROM nowhere' });
      await expect(failing).rejects.toThrow();
      expect(await database.transaction(async (_, opened) => opened, { opening: select })).toEqual(result);
    });

    test('a transaction whose work rejects is rolled back, and rejects with the same', async () => {
      await addUser(database, 'Ada');
      const error = new Error('changed my mind');
      const failing = database.transaction(async (transaction) => {
        await addUser(transaction, 'Grace');
        await transaction.execute('DELETE FROM users WHERE name = ?', ['Ada']);
        throw error;
      });
      await expect(failing).rejects.toBe(error);
      expect(await names()).toEqual(['Ada']);
    });

    test('a reader never sees rows that are not committed', async () => {
      let seen: Promise<unknown> | undefined;
      const failing = database.transaction(async (transaction) => {
        await addUser(transaction, 'Ada');
        seen = database.query('SELECT name FROM users');
        await transaction.query('SELECT name FROM users');
        throw new Error('rolled back');
      });
      await expect(failing).rejects.toThrow('rolled back');
      expect(await seen).toEqual([]);
    });

    test('transactions that run at once do not mix: each is committed or rolled back as a whole', async () => {
      const run = (who: string, fails: boolean) =>
        database.transaction(async (transaction) => {
          for (const part of [1, 2, 3]) await addUser(transaction, `${who}-${part}`);
          if (fails) throw new Error(`${who} fails`);
        });
      const outcomes = await Promise.allSettled([run('a', false), run('b', true), run('c', false), run('d', true)]);
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
      expect((await names()).toSorted()).toEqual(['a-1', 'a-2', 'a-3', 'c-1', 'c-2', 'c-3']);
    });

    test('a row that breaks a unique key or a reference is refused as such', async () => {
      const id = await addUser(database, 'Ada');
      await expect(addUser(database, 'Ada')).rejects.toMatchObject({ name: 'ConstraintViolation', kind: 'duplicate' });
      const insertPost = 'INSERT INTO posts (title, content, user_id) VALUES (?, ?, ?)';
      await database.execute(insertPost, ['t', 'c', id]);
      await expect(database.execute(insertPost, ['t', 'c', String(BigInt(id) + 1n)])).rejects.toMatchObject({
        name: 'ConstraintViolation',
        kind: 'foreign-key',
      });
    });

    test('a row that others refer to cannot be deleted unless they go with it', async () => {
      const id = await addUser(database, 'Ada');
      await database.execute(
        'CREATE TABLE kept (user_id BIGINT UNSIGNED NOT NULL, FOREIGN KEY (user_id) REFERENCES users (id))',
      );
      await database.execute('INSERT INTO kept (user_id) VALUES (?)', [id]);
      await expect(database.execute('DELETE FROM users')).rejects.toMatchObject({
        name: 'ConstraintViolation',
        kind: 'foreign-key',
      });
      await database.execute('DROP TABLE kept');
      await database.execute('INSERT INTO posts (title, content, user_id) VALUES (?, ?, ?)', ['t', 'c', id]);
      await database.execute('DELETE FROM users');
      expect(await database.query('SELECT id FROM posts')).toEqual([]);
    });

    test('a transaction goes on after a refused statement', async () => {
      await addUser(database, 'Ada');
      await database.transaction(async (transaction) => {
        await expect(addUser(transaction, 'Ada')).rejects.toBeInstanceOf(ConstraintViolation);
        await addUser(transaction, 'Grace');
      });
      expect(await names()).toEqual(['Ada', 'Grace']);
    });

    test('an error that nobody foresaw stays what it is, and does no harm to what comes after', async () => {
      await expect(database.query('SELEKT 1')).rejects.toThrow(/syntax/i);
      await expect(database.query('SELECT nothing FROM users')).rejects.not.toHaveProperty(
        'code',
        'DATABASE_UNAVAILABLE',
      );
      await expect(database.transaction((transaction) => transaction.execute('SELEKT 1'))).rejects.toThrow(/syntax/i);
      await addUser(database, 'Ada');
      expect(await names()).toEqual(['Ada']);
    });

    test('any text of Unicode comes back as it was', async () => {
      const texts = [
        '😀👩‍👩‍👧‍👦',
        'שלום \u202Eעולם',
        'naïve ≠ nai\u0308ve',
        '\u0000\b\n\r\t\u001a',
        `'"\\;--%_`,
        '𝒳'.repeat(100),
      ];
      for (const [index, text] of texts.entries()) await database.execute(insertUser, [text, `${index}@example.com`]);
      expect(await names()).toEqual(texts);
      expect(await database.query('SELECT name FROM users WHERE name = ?', [texts[0] ?? ''])).toEqual([[texts[0]]]);
    });

    test('the time of the database is UTC', async () => {
      await database.execute(
        "INSERT INTO users (name, email, password, created_at) VALUES ('n', 'e', '!', CURRENT_TIMESTAMP)",
      );
      const rows = await database.query('SELECT CURRENT_TIMESTAMP, created_at FROM users');
      for (const time of rows.flat()) {
        expect(time).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
        const age = Date.now() - Date.parse(`${String(time).replace(' ', 'T')}Z`);
        expect(Math.abs(age)).toBeLessThan(60_000);
      }
    });

    test('a time is read as it was written', async () => {
      const time = '2024-02-29 23:59:59';
      await database.execute("INSERT INTO users (name, email, password, created_at) VALUES ('n', 'e', '!', ?)", [time]);
      expect(await database.query('SELECT created_at FROM users WHERE created_at = ?', [time])).toEqual([[time]]);
    });

    test.each(['9007199254740993', '9223372036854775807'])(
      'the integer %s is exact, in and out, as text and as bigint',
      async (digits) => {
        const { integer } = database.dialect;
        const insert = `INSERT INTO users (id, name, email, password) VALUES (${integer}, 'n', 'e', '!')`;
        const { insertId } = await database.execute(insert, [digits]);
        expect(insertId).toBe(digits);
        const read = async (param: string | bigint) =>
          (await database.query(`SELECT id FROM users WHERE id = ${integer}`, [param])).flat().map(String);
        expect(await read(digits)).toEqual([digits]);
        expect(await read(BigInt(digits))).toEqual([digits]);
        expect(await read(String(BigInt(digits) - 1n))).toEqual([]);
        expect(await read(String(BigInt(digits) + 1n))).toEqual([]);
        await database.execute('DELETE FROM users');
      },
    );

    test('closed, it lets what was under way end, refuses everything else as unavailable, and can be closed again', async () => {
      const { database: closing, remove } = await open();
      const underWay = closing.query('SELECT 1');
      await underWay;
      await closing.close();
      await closing.close();
      const uses = [
        () => closing.query('SELECT 1'),
        () => closing.execute('SELECT 1'),
        () => closing.transaction(async () => undefined),
        () => closing.ping(),
      ];
      for (const use of uses)
        await expect(use()).rejects.toMatchObject({ name: 'CatalogueError', code: 'DATABASE_UNAVAILABLE' });
      await remove();
    });
  });
}
