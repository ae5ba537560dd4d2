import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import type { MysqlOptions } from '../../src/database/mysql.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { dial, nameOf, openMysql } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { eventually } from '../harness/eventually.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

const busy = { name: 'CatalogueError', code: 'DATABASE_BUSY' };
const unavailable = { name: 'CatalogueError', code: 'DATABASE_UNAVAILABLE' };
const connectionId = 'SELECT CONNECTION_ID()';

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'when the way to %s fails',
  (_name, server) => {
    let leaks: LeakCheck;
    let schema: DatabaseSchema;
    let proxy: TcpProxy;
    let root: Connection;
    const opened: Database[] = [];

    beforeAll(async () => {
      leaks = trackLeaks();
      schema = await createSchema(server);
      proxy = await startProxy(schema);
      root = await dial(schema);
      await migrate(open());
    });
    afterEach(async () => {
      await proxy.restore();
      for (const database of opened.splice(0)) await database.close();
    });
    afterAll(async () => {
      await proxy.close();
      root.destroy();
      await schema.drop();
      await leaks.check();
    });

    const open = (options: Partial<MysqlOptions> = {}, of: Partial<DatabaseSchema> = {}): Database => {
      const database = openMysql({ ...schema, ...of }, { poolSize: 1, ...options }, proxy);
      opened.push(database);
      return database;
    };

    /** What a promise rejects with, and after how many milliseconds. */
    const failure = async (promise: Promise<unknown>): Promise<{ error: unknown; ms: number }> => {
      const began = performance.now();
      const error = await promise.then(
        (value) => ({ resolvedWith: value }),
        (reason: unknown) => reason,
      );
      return { error, ms: performance.now() - began };
    };

    const idOf = async (database: Database): Promise<number> => Number((await database.query(connectionId))[0]?.[0]);

    /** Until the connection is at work on a statement that holds `text`. */
    const running = (id: number, text: string): Promise<void> =>
      eventually(async () => {
        // A statement that is only being prepared has the same text.
        const [rows] = await root.query(
          "SELECT 1 FROM information_schema.processlist WHERE id = ? AND info LIKE ? AND command = 'Execute'",
          [id, `%${text}%`],
        );
        return Array.isArray(rows) && rows.length > 0;
      });

    describe('nothing answers', () => {
      const limits = { statementTimeoutMs: 200, connectTimeoutMs: 400, acquireTimeoutMs: 2_000 };
      /** 200 ms and the grace of 500, and what a busy machine adds. */
      const inTime = 2_500;

      test('a statement that is known to the connection ends in time, and its connection is never used again', async () => {
        const database = open(limits);
        const before = await idOf(database);
        proxy.blackHole();
        const { error, ms } = await failure(idOf(database));
        expect(error).toMatchObject(busy);
        expect(ms).toBeLessThan(inTime);
        await proxy.restore();
        expect(await database.query("SELECT 'mine'")).toEqual([['mine']]);
        expect(await idOf(database)).not.toBe(before);
      });

      test('a statement that has yet to be prepared ends in time', async () => {
        const database = open(limits);
        await idOf(database);
        proxy.blackHole();
        const { error, ms } = await failure(database.query("SELECT 'never seen before'"));
        expect(error).toMatchObject(busy);
        expect(ms).toBeLessThan(inTime);
      });

      test('a transaction ends in time: it does not wait for a rollback that nobody answers', async () => {
        const database = open(limits);
        await idOf(database);
        const { error, ms } = await failure(
          database.transaction(async (transaction) => {
            await transaction.execute("INSERT INTO users (name, email, password) VALUES ('n', 'lost', '!')");
            proxy.blackHole();
            await transaction.query("SELECT 'silence'");
          }),
        );
        expect(error).toMatchObject(busy);
        expect(ms).toBeLessThan(inTime);
        await proxy.restore();
        expect(await database.query("SELECT id FROM users WHERE email = 'lost'")).toEqual([]);
      });

      test('a rollback that nobody answers does not change what the transaction rejects with', async () => {
        const database = open(limits);
        const mine = new Error('my own');
        const failing = database.transaction(async () => {
          proxy.blackHole();
          throw mine;
        });
        await expect(failing).rejects.toBe(mine);
        await proxy.restore();
        expect(await database.query('SELECT 1')).toEqual([[1]]);
      });

      test('a new connection is given up in time', async () => {
        const database = open(limits);
        proxy.blackHole();
        const { error, ms } = await failure(database.query('SELECT 1'));
        expect(error).toMatchObject(unavailable);
        expect(ms).toBeLessThan(1_500);
      });

      test('closing does not wait longer for a connection that is being made than for any', async () => {
        const database = open(limits);
        proxy.blackHole();
        const query = failure(database.query('SELECT 1'));
        const { ms } = await failure(database.close());
        expect(ms).toBeLessThan(1_500);
        expect((await query).error).toMatchObject(unavailable);
      });

      test('closing does not wait for an answer', async () => {
        const database = open(limits);
        await idOf(database);
        proxy.blackHole();
        const { ms } = await failure(database.close());
        expect(ms).toBeLessThan(1_500);
      });
    });

    describe('connections break', () => {
      test('a reset during a statement: unavailable, and the next statement has a connection', async () => {
        const database = open();
        const id = await idOf(database);
        const statement = failure(database.query('SELECT SLEEP(9)'));
        await running(id, 'SLEEP(9)');
        proxy.reset();
        expect((await statement).error).toMatchObject(unavailable);
        expect(await idOf(database)).not.toBe(id);
      });

      test('a reset while a connection is idle goes unnoticed', async () => {
        const database = open();
        const id = await idOf(database);
        proxy.reset();
        await eventually(async () => (await idOf(database).catch(() => id)) !== id);
      });

      test('an idle connection that the server ends, because it was idle for too long or was killed, goes unnoticed', async () => {
        const database = open();
        const id = await idOf(database);
        await database.execute('SET wait_timeout = 1');
        await eventually(async () => proxy.connections === 0);
        // The proxy hears of it a moment before the pool does.
        const after = (former: number) => eventually(async () => (await idOf(database).catch(() => former)) !== former);
        await after(id);
        const next = await idOf(database);
        await root.query(`KILL CONNECTION ${next}`);
        await eventually(async () => proxy.connections === 0);
        await after(next);
      });

      test('a reset between the statements of a transaction: unavailable, and rolled back', async () => {
        const database = open();
        const failing = database.transaction(async (transaction) => {
          await transaction.execute("INSERT INTO users (name, email, password) VALUES ('n', 'reset', '!')");
          proxy.reset();
          await transaction.query('SELECT 1');
        });
        await expect(failing).rejects.toMatchObject(unavailable);
        expect(await database.query("SELECT id FROM users WHERE email = 'reset'")).toEqual([]);
      });

      test('a server that ends the connection during a statement: unavailable', async () => {
        const database = open();
        const id = await idOf(database);
        const statement = failure(database.query('SELECT SLEEP(8)'));
        await running(id, 'SLEEP(8)');
        await root.query(`KILL CONNECTION ${id}`);
        expect((await statement).error).toMatchObject(unavailable);
        expect(await idOf(database)).not.toBe(id);
      });

      test('a server that ends the connection during a transaction: unavailable, and rolled back', async () => {
        const database = open();
        const failing = database.transaction(async (transaction) => {
          await transaction.execute("INSERT INTO users (name, email, password) VALUES ('n', 'killed', '!')");
          const [row] = await transaction.query(connectionId);
          await root.query(`KILL CONNECTION ${String(row?.[0])}`);
          await transaction.query('SELECT 1');
        });
        await expect(failing).rejects.toMatchObject(unavailable);
        expect(await database.query("SELECT id FROM users WHERE email = 'killed'")).toEqual([]);
      });

      test('a statement that somebody interrupts: busy, on a connection that stays', async () => {
        const database = open();
        await database.execute("INSERT INTO users (name, email, password) VALUES ('n', 'interrupted', '!')");
        const id = await idOf(database);
        const statement = failure(database.query('SELECT name FROM users WHERE SLEEP(7) = 0'));
        await running(id, 'SLEEP(7)');
        await root.query(`KILL QUERY ${id}`);
        expect((await statement).error).toMatchObject(busy);
        expect(await idOf(database)).toBe(id);
      });
    });

    describe('there is no connection to be had', () => {
      test('refused: unavailable, until it is there again', async () => {
        const database = open();
        await proxy.refuse();
        const { error, ms } = await failure(database.query('SELECT 1'));
        expect(error).toMatchObject({ ...unavailable, cause: { code: 'ECONNREFUSED' } });
        expect(ms).toBeLessThan(2_000);
        await expect(database.ping()).rejects.toMatchObject(unavailable);
        await expect(database.transaction(async () => undefined)).rejects.toMatchObject(unavailable);
        await proxy.restore();
        await expect(database.ping()).resolves.toBeUndefined();
      });

      test('an unknown host, a wrong password, an unknown database: unavailable', async () => {
        const elsewhere = openMysql(schema, {}, { host: 'no-such-host.invalid', port: 1 });
        opened.push(elsewhere);
        await expect(elsewhere.ping()).rejects.toMatchObject(unavailable);
        await expect(open({}, { password: 'wrong' }).ping()).rejects.toMatchObject(unavailable);
        await expect(open({}, { name: 'no_such_database' }).ping()).rejects.toMatchObject(unavailable);
      });

      test('a table that is not there yet, or may not be used: unavailable', async () => {
        await expect(open().query('SELECT 1 FROM not_yet')).rejects.toMatchObject(unavailable);
        const user = await createUser('');
        await root.query(`GRANT SELECT ON ${schema.name}.users TO ${user.quoted}`);
        const database = open({}, user.account);
        await expect(database.query('SELECT id FROM users LIMIT 0')).resolves.toEqual([]);
        await expect(database.execute('DELETE FROM users')).rejects.toMatchObject(unavailable);
        await root.query(`DROP USER ${user.quoted}`);
      });

      test('more connections than the server gives this user: unavailable, and the others go on', async () => {
        const user = await createUser('WITH MAX_USER_CONNECTIONS 1');
        await root.query(`GRANT ALL ON ${schema.name}.* TO ${user.quoted}`);
        const database = open({ poolSize: 2 }, user.account);
        await database.transaction(async (transaction) => {
          await expect(database.query('SELECT 1')).rejects.toMatchObject(unavailable);
          expect(await transaction.query('SELECT 2')).toEqual([[2]]);
        });
        expect(await database.query('SELECT 3')).toEqual([[3]]);
        await root.query(`DROP USER ${user.quoted}`);
      });

      test('a session that the server does not let set up is not used: unavailable, at once', async () => {
        const user = await createUser('WITH MAX_QUERIES_PER_HOUR 1');
        await root.query(`GRANT ALL ON ${schema.name}.* TO ${user.quoted}`);
        const other = await dial({ ...schema, ...user.account });
        for (let turn = 0; turn < 3; turn += 1) await other.query('SELECT 1').catch(() => undefined);
        other.destroy();
        const { error, ms } = await failure(open({}, user.account).query('SELECT 1'));
        expect(error).toMatchObject({ ...unavailable, cause: { errno: 1226 } });
        expect(ms).toBeLessThan(2_000);
        await eventually(async () => proxy.connections === 0);
        await root.query(`DROP USER ${user.quoted}`);
      });
    });

    let users = 0;
    const createUser = async (limits: string) => {
      users += 1;
      const username = `u${users}_${schema.name.slice(-12)}`;
      const quoted = `'${username}'@'%'`;
      await root.query(`CREATE USER ${quoted} IDENTIFIED BY 'p' ${limits}`);
      return { quoted, account: { username, password: 'p' } };
    };
  },
);
