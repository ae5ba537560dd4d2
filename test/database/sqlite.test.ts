import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/database/open.ts';
import { SqliteDatabase } from '../../src/database/sqlite.ts';

const busy = { name: 'CatalogueError', code: 'DATABASE_BUSY' };
const unavailable = { name: 'CatalogueError', code: 'DATABASE_UNAVAILABLE' };

describe('the embedded database', () => {
  let folder: string;
  let location: string;
  const opened: SqliteDatabase[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-sqlite-'));
    location = join(folder, 'data.sqlite');
  });
  afterEach(async () => {
    for (const database of opened.splice(0)) await database.close();
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('a file that is no database is refused, and what to do is said', () => {
    const config = loadConfig({ EMBEDDED_DATA: folder });
    expect(() => openDatabase(config)).toThrow(/EMBEDDED_DATA must name a file for the embedded database/);
  });

  const open = (options: { location?: string; queueLimit?: number } = {}): SqliteDatabase => {
    const database = new SqliteDatabase({ location: ':memory:', queueLimit: 100, ...options });
    opened.push(database);
    return database;
  };

  test('a file keeps its rows from one opening to the next', async () => {
    const first = open({ location });
    await first.execute('CREATE TABLE kept (id INTEGER PRIMARY KEY)');
    await first.execute('INSERT INTO kept VALUES (7)');
    await first.close();
    expect(await open({ location }).query('SELECT id FROM kept')).toEqual([[7n]]);
  });

  test('whoever comes while a transaction runs waits for it, in order', async () => {
    const database = open();
    await database.execute('CREATE TABLE steps (step TEXT)');
    const gate = Promise.withResolvers<void>();
    const step = (name: string) => database.execute('INSERT INTO steps VALUES (?)', [name]);
    const transaction = database.transaction(async ({ execute }) => {
      await gate.promise;
      await execute("INSERT INTO steps VALUES ('transaction')");
    });
    const after = [step('second'), step('third')];
    gate.resolve();
    await Promise.all([transaction, ...after]);
    expect((await database.query('SELECT step FROM steps ORDER BY rowid')).flat()).toEqual([
      'transaction',
      'second',
      'third',
    ]);
  });

  test('past the bound of its queue it is busy, at once, and open again when the queue is shorter', async () => {
    const database = open({ queueLimit: 2 });
    const gate = Promise.withResolvers<void>();
    const running = database.transaction(() => gate.promise);
    const waiting = database.query('SELECT 1');
    await expect(database.query('SELECT 2')).rejects.toMatchObject(busy);
    await expect(database.transaction(async () => undefined)).rejects.toMatchObject(busy);
    gate.resolve();
    await running;
    expect(await waiting).toEqual([[1n]]);
    expect(await database.query('SELECT 2')).toEqual([[2n]]);
  });

  test('closing lets the queue end first, and refuses whoever comes after', async () => {
    const database = open();
    const gate = Promise.withResolvers<void>();
    const running = database.transaction(() => gate.promise);
    const waiting = database.query('SELECT 1');
    const closed = database.close();
    const late = database.query('SELECT 2');
    gate.resolve();
    await expect(late).rejects.toMatchObject(unavailable);
    await running;
    expect(await waiting).toEqual([[1n]]);
    await closed;
  });

  test('a file that another program writes to is busy, for a statement and for a transaction', async () => {
    const database = open({ location });
    await database.execute('CREATE TABLE IF NOT EXISTS shared (id INTEGER PRIMARY KEY)');
    const other = new DatabaseSync(location);
    try {
      other.exec('BEGIN IMMEDIATE');
      await expect(database.execute('INSERT INTO shared VALUES (1)')).rejects.toMatchObject(busy);
      await expect(database.transaction(async () => undefined)).rejects.toMatchObject(busy);
      expect(await database.query('SELECT id FROM shared')).toEqual([]);
      other.exec('COMMIT');
    } finally {
      other.close();
    }
    await database.transaction(({ execute }) => execute('INSERT INTO shared VALUES (1)'));
    expect(await database.query('SELECT id FROM shared')).toEqual([[1n]]);
  });

  test('more different statements than it keeps prepared all work, before and after the bound', async () => {
    const database = open();
    for (let number = 0; number < 1_100; number += 1) {
      expect(await database.query(`SELECT ${number}, ?`, ['x'])).toEqual([[BigInt(number), 'x']]);
    }
    expect(await database.query('SELECT 0, ?', ['y'])).toEqual([[0n, 'y']]);
  });

  test('a transaction that SQLite itself has rolled back rejects with what happened', async () => {
    const database = open();
    await database.execute('CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)');
    const failing = database.transaction(async ({ execute }) => {
      await execute('INSERT INTO t VALUES (1)');
      await execute('INSERT INTO t VALUES (1)');
    });
    await expect(failing).rejects.toMatchObject({ name: 'ConstraintViolation', kind: 'duplicate' });
    expect(await database.query('SELECT id FROM t')).toEqual([]);
  });

  test('a value that SQLite cannot hold is an error of the caller', async () => {
    await expect(open().query('SELECT ?', [2n ** 64n])).rejects.toThrow(/BigInt/);
  });
});
