import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import { OutcomeUnknown } from '../../src/cache/write-fence.ts';
import type { Database, Queryable } from '../../src/database/database.ts';
import type { MysqlOptions } from '../../src/database/mysql.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { dial, lockIsAwaited, nameOf, openMysql } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

const busy = { name: 'CatalogueError', code: 'DATABASE_BUSY' };

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'transactions on %s',
  (_name, server) => {
    let leaks: LeakCheck;
    let schema: DatabaseSchema;
    let proxy: TcpProxy;
    let rival: Connection;
    const opened: Database[] = [];

    beforeAll(async () => {
      leaks = trackLeaks();
      schema = await createSchema(server);
      proxy = await startProxy(schema);
      rival = await dial(schema);
      await rival.query('CREATE TABLE counters (id INT PRIMARY KEY, value INT NOT NULL) ENGINE = InnoDB');
    });
    beforeEach(async () => {
      await rival.query('DELETE FROM counters');
      const rows = Array.from({ length: 50 }, (_, index) => `(${index + 1}, 0)`);
      await rival.query(`INSERT INTO counters VALUES ${rows.join(', ')}`);
    });
    afterEach(async () => {
      await rival.query('ROLLBACK');
      await proxy.restore();
      for (const database of opened.splice(0)) await database.close();
    });
    afterAll(async () => {
      await proxy.close();
      rival.destroy();
      await schema.drop();
      await leaks.check();
    });

    const open = (options: Partial<MysqlOptions> = {}): Database => {
      const database = openMysql(schema, options, proxy);
      opened.push(database);
      return database;
    };

    const add = (to: Queryable, id: number) => to.execute('UPDATE counters SET value = value + 1 WHERE id = ?', [id]);
    const valueOf = async (database: Database, id: number): Promise<unknown> =>
      (await database.query('SELECT value FROM counters WHERE id = ?', [id]))[0]?.[0];

    /** The rival changes so many rows, and not the first, that InnoDB takes the other for the victim of a deadlock. */
    const rivalTakesMany = async (): Promise<void> => {
      await rival.query('START TRANSACTION');
      await rival.query('UPDATE counters FORCE INDEX (PRIMARY) SET value = value + 100 WHERE id BETWEEN 2 AND 40');
    };
    /** Runs into a deadlock with the rival, as the victim. */
    const collide = async (transaction: Queryable): Promise<void> => {
      await rivalTakesMany();
      await add(transaction, 1);
      const rivalWaits = rival.query('UPDATE counters SET value = value + 100 WHERE id = 1');
      try {
        await add(transaction, 2);
      } finally {
        await rivalWaits;
        await rival.query('ROLLBACK');
      }
    };

    test('two of them at once do not see each other, and do not share a connection', async () => {
      const database = open();
      await database.transaction(async (first) => {
        await add(first, 1);
        expect(await valueOf(database, 1)).toBe(0);
        await database.transaction(async (second) => {
          await add(second, 2);
          const [one, two] = [
            await first.query('SELECT CONNECTION_ID()'),
            await second.query('SELECT CONNECTION_ID()'),
          ];
          expect(one).not.toEqual(two);
        });
        expect(await valueOf(database, 1)).toBe(0);
      });
      expect([await valueOf(database, 1), await valueOf(database, 2)]).toEqual([1, 1]);
    });

    test('the victim of a deadlock is tried again from the start, and counts once', async () => {
      const database = open();
      let attempts = 0;
      const result = await database.transaction(async (transaction) => {
        attempts += 1;
        if (attempts < 4) await collide(transaction);
        else await add(transaction, 1);
        return attempts;
      });
      expect(result).toBe(4);
      expect([await valueOf(database, 1), await valueOf(database, 2)]).toEqual([1, 0]);
    });

    test('a deadlock that comes every time ends as busy after four attempts, and leaves no trace', async () => {
      const database = open({ poolSize: 1 });
      let attempts = 0;
      const failing = database.transaction(async (transaction) => {
        attempts += 1;
        await collide(transaction);
      });
      await expect(failing).rejects.toMatchObject({ ...busy, cause: { errno: 1213 } });
      expect(attempts).toBe(4);
      expect([await valueOf(database, 1), await valueOf(database, 2)]).toEqual([0, 0]);
    });

    test('a statement on its own that is the victim of a deadlock is busy', async () => {
      const database = open();
      await rivalTakesMany();
      const statement = database
        .execute('UPDATE counters SET value = value + 1 WHERE id IN (1, 2)')
        .catch((error: unknown) => error);
      await lockIsAwaited(rival);
      await rival.query('UPDATE counters SET value = value + 100 WHERE id = 1');
      expect(await statement).toMatchObject(busy);
    });

    if (server.flavour === 'mariadb') {
      test('a row that changed since the snapshot, which MariaDB may treat like a deadlock, is tried again too', async () => {
        const database = open();
        let attempts = 0;
        await database.transaction(async (transaction) => {
          attempts += 1;
          await transaction.execute('SET innodb_snapshot_isolation = ON');
          await transaction.query('SELECT value FROM counters');
          if (attempts === 1) await rival.query('UPDATE counters SET value = 100 WHERE id = 1');
          await add(transaction, 1);
        });
        expect(attempts).toBe(2);
        expect(await valueOf(database, 1)).toBe(101);
      });
    }

    test('an error of its own is not taken for a deadlock: the work runs once', async () => {
      let attempts = 0;
      const failing = open().transaction(async () => {
        attempts += 1;
        throw new Error('mine');
      });
      await expect(failing).rejects.toThrow('mine');
      expect(attempts).toBe(1);
    });

    test('a lock that is not to be had in half the time of a statement is busy, and what was done is undone', async () => {
      const database = open({ statementTimeoutMs: 3_000 });
      await rivalTakesMany();
      const failing = database.transaction(async (transaction) => {
        await add(transaction, 1);
        await add(transaction, 2);
      });
      await expect(failing).rejects.toMatchObject({ ...busy, cause: { errno: 1205 } });
      await rival.query('ROLLBACK');
      expect(await valueOf(database, 1)).toBe(0);
    });

    test('a COMMIT that is not answered: the outcome is unknown, and said in time', async () => {
      const database = open({ poolSize: 1, commitTimeoutMs: 300 });
      const [before] = await database.query('SELECT CONNECTION_ID()');
      let asked = 0;
      const failing = database.transaction(async (transaction) => {
        await add(transaction, 1);
        proxy.blackHole();
        asked = performance.now();
      });
      await expect(failing).rejects.toBeInstanceOf(OutcomeUnknown);
      expect(performance.now() - asked).toBeLessThan(1_500);
      await proxy.restore();
      expect(await database.query('SELECT CONNECTION_ID()')).not.toEqual([before]);
    });

    test('a COMMIT during which the connection breaks: the outcome is unknown', async () => {
      const database = open();
      const failing = database.transaction(async (transaction) => {
        await add(transaction, 1);
        proxy.reset();
      });
      await expect(failing).rejects.toBeInstanceOf(OutcomeUnknown);
      expect(await valueOf(database, 1)).toBe(0);
    });
  },
);
