import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import { OutcomeUnknown } from '../../src/cache/write-fence.ts';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { describeDatabase } from '../contracts/database.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { dial, openMysql, openOn } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { eventually } from '../harness/eventually.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

const busy = { name: 'CatalogueError', code: 'DATABASE_BUSY' };
const unavailable = { name: 'CatalogueError', code: 'DATABASE_UNAVAILABLE' };

/** Settings that no application would choose: the service must not depend on the server's own. */
const config = ['--default-time-zone=+05:00', '--sql-mode=', '--innodb-lock-wait-timeout=77'];

describe.each(sharedDatabases().map(({ flavour }) => flavour))(
  'on a %s server of another time zone and no strict mode',
  (flavour) => {
    let leaks: LeakCheck;
    let server: DatabaseServer;
    let schema: DatabaseSchema;
    let database: Database;
    let root: Connection;

    beforeAll(async () => {
      leaks = trackLeaks();
      server = await startDatabaseServer(flavour, { config });
      schema = await createSchema(server);
      database = openMysql(schema, { poolSize: 3 });
      root = await dial(schema);
      await migrate(database);
    }, 120_000);
    afterAll(async () => {
      await database.close();
      root.destroy();
      await server.stop();
      await leaks.check();
    });

    describeDatabase(`${flavour} at +05:00`, () => openOn(server));

    test('each connection has the settings of the service, not those of the server', async () => {
      const limit = flavour === 'mysql' ? '@@max_execution_time' : '@@max_statement_time * 1000';
      const sql = `SELECT CONNECTION_ID(), @@time_zone, @@sql_mode, @@innodb_lock_wait_timeout, ${limit}, @@character_set_client, @@collation_connection`;
      const gate = Promise.withResolvers<void>();
      const asked = [1, 2, 3].map(() => {
        const rows = Promise.withResolvers<unknown[]>();
        const ended = database.transaction(async (transaction) => {
          rows.resolve((await transaction.query(sql)).flat());
          await gate.promise;
        });
        return { row: rows.promise, ended };
      });
      const rows = await Promise.all(asked.map(({ row }) => row));
      gate.resolve();
      await Promise.all(asked.map(({ ended }) => ended));
      expect(new Set(rows.map(([id]) => id)).size).toBe(3);
      for (const [, zone, mode, lockWait, limitMs, charset] of rows) {
        expect({ zone, lockWait, limitMs: Number(limitMs), charset }).toEqual({
          zone: '+00:00',
          lockWait: 5,
          limitMs: 10_000,
          charset: 'utf8mb4',
        });
        expect(String(mode).split(',')).toContain('STRICT_TRANS_TABLES');
      }
      const [own] = await root.query("SELECT @@time_zone, @@sql_mode LIKE '%STRICT%', @@innodb_lock_wait_timeout");
      expect(own).toEqual([['+05:00', 0, 77]]);
    });

    test('a value that does not fit is refused, not cut', async () => {
      const insert = "INSERT INTO users (name, email, password) VALUES (?, 'long', '!')";
      await expect(database.execute(insert, ['x'.repeat(256)])).rejects.toMatchObject({ errno: 1406 });
      expect(await database.query("SELECT name FROM users WHERE email = 'long'")).toEqual([]);
    });

    test('a TIMESTAMP that a session of another time zone wrote is read in UTC, and the other way round', async () => {
      await root.query(
        "INSERT INTO users (name, email, password, created_at) VALUES ('n', 'theirs', '!', '2025-01-01 03:00:00')",
      );
      expect(await database.query("SELECT created_at FROM users WHERE email = 'theirs'")).toEqual([
        ['2024-12-31 22:00:00'],
      ]);
      await database.execute(
        "INSERT INTO users (name, email, password, created_at) VALUES ('n', 'ours', '!', '2025-01-01 00:00:00')",
      );
      const [rows] = await root.query("SELECT created_at FROM users WHERE email = 'ours'");
      expect(rows).toEqual([['2025-01-01 05:00:00']]);
    });

    test.each(['9223372036854775808', '18446744073709551614', '18446744073709551615'])(
      'the id %s is exact',
      async (digits) => {
        const { integer } = database.dialect;
        const before = String(BigInt(digits) - 1n);
        await root.query('CREATE TABLE wide (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT)');
        expect(await database.execute(`INSERT INTO wide (id) VALUES (${integer})`, [digits])).toEqual({
          affectedRows: 1,
          insertId: digits,
        });
        expect(await database.query(`SELECT id FROM wide WHERE id = ${integer}`, [digits])).toEqual([[digits]]);
        expect(await database.query(`SELECT id FROM wide WHERE id = ${integer}`, [BigInt(digits)])).toEqual([[digits]]);
        expect(await database.query(`SELECT id FROM wide WHERE id = ${integer}`, [before])).toEqual([]);
        expect(await database.query(`SELECT id FROM wide WHERE id > ${integer}`, [before])).toEqual([[digits]]);
        expect((await database.execute(`UPDATE wide SET v = 1 WHERE id = ${integer}`, [before])).affectedRows).toBe(0);
        expect((await database.execute(`DELETE FROM wide WHERE id = ${integer}`, [digits])).affectedRows).toBe(1);
        await root.query('DROP TABLE wide');
      },
    );

    test('an id that the server gives is exact', async () => {
      await root.query(
        'CREATE TABLE wide (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT) AUTO_INCREMENT = 18446744073709551614',
      );
      expect((await database.execute('INSERT INTO wide (v) VALUES (1)')).insertId).toBe('18446744073709551614');
      await root.query('DROP TABLE wide');
    });

    test('the server itself ends a query that takes too long: busy, on a connection that stays', async () => {
      const short = openMysql(schema, { poolSize: 1, statementTimeoutMs: 300 });
      await root.query("INSERT INTO users (name, email, password) VALUES ('n', 'slow', '!')");
      const [before] = await short.query('SELECT CONNECTION_ID()');
      const errno = flavour === 'mysql' ? 3024 : 1969;
      await expect(short.query('SELECT name FROM users WHERE SLEEP(5) = 0')).rejects.toMatchObject({
        ...busy,
        cause: { errno },
      });
      expect(await short.query('SELECT CONNECTION_ID()')).toEqual([before]);
      await short.close();
    });

    test('a change that takes too long: busy, though MySQL has no limit of its own for it', async () => {
      const short = openMysql(schema, { poolSize: 1, statementTimeoutMs: 300 });
      const began = performance.now();
      await expect(short.execute("UPDATE users SET name = SLEEP(3) WHERE email = 'slow'")).rejects.toMatchObject(busy);
      expect(performance.now() - began).toBeLessThan(2_500);
      expect(await short.query('SELECT 1')).toEqual([[1]]);
      await short.close();
    });

    test('a COMMIT that the server refuses is no unknown outcome: nothing is stored, and the connection stays', async () => {
      const single = openMysql(schema, { poolSize: 1 });
      const [before] = await single.query('SELECT CONNECTION_ID()');
      const id = Number(before?.[0]);
      const failing = single
        .transaction(async (transaction) => {
          await transaction.execute("INSERT INTO users (name, email, password) VALUES ('n', 'refused', '!')");
          await root.query('FLUSH TABLES WITH READ LOCK');
        })
        .catch((error: unknown) => error);
      await committing(id);
      await root.query(`KILL QUERY ${id}`);
      const error = await failing;
      await root.query('UNLOCK TABLES');
      expect(error).toMatchObject({ ...busy, cause: { errno: 1317 } });
      expect(await single.query('SELECT CONNECTION_ID()')).toEqual([before]);
      expect(await single.query("SELECT id FROM users WHERE email = 'refused'")).toEqual([]);
      await single.close();
    });

    test('a connection that the server ends during COMMIT: the outcome is unknown', async () => {
      const single = openMysql(schema, { poolSize: 1 });
      const [before] = await single.query('SELECT CONNECTION_ID()');
      const failing = single
        .transaction(async (transaction) => {
          await transaction.execute("INSERT INTO users (name, email, password) VALUES ('n', 'cut off', '!')");
          await root.query('FLUSH TABLES WITH READ LOCK');
        })
        .catch((error: unknown) => error);
      await committing(Number(before?.[0]));
      await root.query(`KILL CONNECTION ${String(before?.[0])}`);
      expect(await failing).toBeInstanceOf(OutcomeUnknown);
      await root.query('UNLOCK TABLES');
      await single.close();
    });

    test('a server that stands still: busy or unavailable in time, no socket left open, and well again when it goes on', async () => {
      const sockets = trackLeaks();
      const short = openMysql(schema, { poolSize: 1, statementTimeoutMs: 200, connectTimeoutMs: 300 });
      await short.ping();
      await server.pause();
      const began = performance.now();
      await expect(short.ping()).rejects.toMatchObject(busy);
      await expect(short.ping()).rejects.toMatchObject(unavailable);
      expect(performance.now() - began).toBeLessThan(4_000);
      await sockets.check();
      await server.resume();
      await eventually(() => answers(short));
      await short.close();
    });

    test('a server that is killed during a statement: unavailable, until it is back', async () => {
      const id = Number((await database.query('SELECT CONNECTION_ID()'))[0]?.[0]);
      const statement = database.query('SELECT SLEEP(6)').catch((error: unknown) => error);
      await eventually(async () => {
        const [rows] = await root.query(
          "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(6)%'",
        );
        return Array.isArray(rows) && rows.length > 0;
      });
      expect(id).toBeGreaterThan(0);
      await server.kill();
      expect(await statement).toMatchObject(unavailable);
      await expect(database.ping()).rejects.toMatchObject(unavailable);
      await server.restart();
      await eventually(() => answers(database));
      expect(await database.query("SELECT created_at FROM users WHERE email = 'ours'")).toEqual([
        ['2025-01-01 00:00:00'],
      ]);
    }, 60_000);

    const answers = (of: Database): Promise<boolean> =>
      of.ping().then(
        () => true,
        () => false,
      );

    const committing = (id: number): Promise<void> =>
      eventually(async () => {
        const [rows] = await root.query(
          "SELECT 1 FROM information_schema.processlist WHERE id = ? AND info = 'COMMIT'",
          [id],
        );
        return Array.isArray(rows) && rows.length > 0;
      });
  },
);
