import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import type { MysqlOptions } from '../../src/database/mysql.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { dial, nameOf, openMysql } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { eventually } from '../harness/eventually.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

const busy = { name: 'CatalogueError', code: 'DATABASE_BUSY' };
const connectionId = 'SELECT CONNECTION_ID()';

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'the pool of connections to %s',
  (_name, server) => {
    let leaks: LeakCheck;
    let schema: DatabaseSchema;
    let proxy: TcpProxy;
    const opened: Database[] = [];

    beforeAll(async () => {
      leaks = trackLeaks();
      schema = await createSchema(server);
      proxy = await startProxy(schema);
    });
    afterEach(async () => {
      await proxy.restore();
      for (const database of opened.splice(0)) await database.close();
    });
    afterAll(async () => {
      await proxy.close();
      await schema.drop();
      await leaks.check();
    });

    const open = (options: Partial<MysqlOptions> = {}): Database => {
      const database = openMysql(schema, options, proxy);
      opened.push(database);
      return database;
    };

    /** A transaction that has its connection until it is told to end. */
    const hold = async (database: Database) => {
      const begun = Promise.withResolvers<void>();
      const gate = Promise.withResolvers<void>();
      const ended = database.transaction(() => {
        begun.resolve();
        return gate.promise;
      });
      await begun.promise;
      return async (): Promise<void> => {
        gate.resolve();
        await ended;
      };
    };

    test('has no more connections than its size, however many ask', async () => {
      const database = open({ poolSize: 3 });
      const ids = await Promise.all(Array.from({ length: 30 }, () => database.query(connectionId)));
      expect(new Set(ids.flat(2)).size).toBe(3);
      await eventually(async () => proxy.connections === 3);
    });

    test('past the bound of its queue it is busy, at once', async () => {
      const database = open({ poolSize: 1, queueLimit: 2 });
      const release = await hold(database);
      const waiting = [database.query('SELECT 1'), database.query('SELECT 2')];
      const asked = performance.now();
      await expect(database.query('SELECT 3')).rejects.toMatchObject(busy);
      expect(performance.now() - asked).toBeLessThan(1_000);
      await release();
      expect(await Promise.all(waiting)).toEqual([[[1]], [[2]]]);
      expect(await database.query('SELECT 3')).toEqual([[3]]);
    });

    test('whoever waits too long for a connection is told that it is busy, and takes no connection with it', async () => {
      const database = open({ poolSize: 1, acquireTimeoutMs: 150 });
      const release = await hold(database);
      const asked = performance.now();
      await expect(database.query('SELECT 1')).rejects.toMatchObject(busy);
      expect(performance.now() - asked).toBeGreaterThanOrEqual(149);
      await release();
      expect(await database.query('SELECT 2')).toEqual([[2]]);
      await eventually(async () => proxy.connections === 1);
    });

    test('a connection that is made too late goes to the pool, and is set up before its first use', async () => {
      const database = open({ poolSize: 1, acquireTimeoutMs: 150 });
      proxy.blackHole();
      await expect(database.query('SELECT 1')).rejects.toMatchObject(busy);
      await proxy.restore();
      await eventually(async () => {
        const rows = await database.query('SELECT @@time_zone').catch(() => undefined);
        return rows?.[0]?.[0] === '+00:00';
      });
      await eventually(async () => proxy.connections === 1);
    });

    test('a request that no longer waits takes nobody else the place', async () => {
      const database = open({ poolSize: 1, acquireTimeoutMs: 150 });
      const release = await hold(database);
      const late = await Promise.allSettled(Array.from({ length: 5 }, () => database.query('SELECT 1')));
      expect(late.map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => 'rejected'));
      await release();
      expect(await Promise.all([database.query('SELECT 6'), database.query('SELECT 7')])).toEqual([[[6]], [[7]]]);
    });

    test('connections are kept and used again', async () => {
      const database = open({ poolSize: 2 });
      const [first] = await database.query(connectionId);
      for (let turn = 0; turn < 5; turn += 1) expect(await database.query(connectionId)).toEqual([first]);
    });

    test('a connection keeps a bounded number of prepared statements', async () => {
      const database = open({ poolSize: 1 });
      for (let number = 0; number < 450; number += 1) {
        expect(await database.query(`SELECT ${number}, ?`, ['x'])).toEqual([[number, 'x']]);
      }
      const [row] = await database.query("SHOW SESSION STATUS LIKE 'Com_stmt_prepare'");
      const [closed] = await database.query("SHOW SESSION STATUS LIKE 'Com_stmt_close'");
      expect(Number(row?.[1]) - Number(closed?.[1])).toBeLessThan(220);
      expect(await database.query('SELECT 0, ?', ['y'])).toEqual([[0, 'y']]);
    });

    test('closing ends every connection, once what is under way is done', async () => {
      const database = open({ poolSize: 3 });
      await Promise.all([1, 2, 3].map((number) => database.query(`SELECT ${number}`)));
      const running = database.query('SELECT SLEEP(0.1)');
      await eventually(async () => {
        const watcher = await dial(schema);
        const [rows] = await watcher.query(
          "SELECT 1 FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE '%SLEEP(0%' AND id <> CONNECTION_ID()",
        );
        watcher.destroy();
        return Array.isArray(rows) && rows.length > 0;
      });
      await database.close();
      expect(await running).toEqual([[0]]);
      await eventually(async () => proxy.connections === 0);
    });

    test('closing ends whoever waits for a connection', async () => {
      const database = open({ poolSize: 1 });
      const release = await hold(database);
      const waiting = database.query('SELECT 1').catch((error: unknown) => error);
      const closed = database.close();
      expect(await waiting).toMatchObject({ name: 'CatalogueError', code: 'DATABASE_UNAVAILABLE' });
      await release().catch(() => undefined);
      await closed;
    });
  },
);
