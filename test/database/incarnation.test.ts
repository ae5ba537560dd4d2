import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Incarnation, readOrigin } from '../../src/database/incarnation.ts';
import { migrate } from '../../src/database/migrate.ts';
import type { Database } from '../../src/database/database.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { openMysql } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

const second = 1_000;

describe.each(sharedDatabases().map((server) => ({ name: `${server.flavour} ${server.version}`, server })))(
  'whether a backup was restored: $name',
  ({ server }) => {
    let schema: DatabaseSchema;
    let database: ReturnType<typeof openMysql>;
    let count = 0;

    beforeAll(async () => {
      schema = await createSchema(server);
      database = openMysql(schema);
      await migrate(database);
    });
    beforeEach(() => database.execute('DELETE FROM cache_barrier'));
    afterAll(async () => {
      await database.close();
      await schema.drop();
    });

    const unique = (): string => `token${(count += 1)}`;
    const open = (beatMs?: number): Incarnation =>
      new Incarnation(database, { unique, ...(beatMs === undefined ? {} : { beatMs }) });
    /** As if the row had been written so long ago. */
    const age = (ms: number): Promise<unknown> =>
      database.execute('UPDATE cache_barrier SET generation = generation - ? WHERE id = 2', [ms]);
    const backUp = async (): Promise<() => Promise<unknown>> => {
      const [row] = await database.query('SELECT run, generation FROM cache_barrier WHERE id = 2');
      return async () => {
        await database.execute('DELETE FROM cache_barrier WHERE id = 2');
        if (row === undefined) return;
        await database.execute('INSERT INTO cache_barrier (id, run, generation, settled) VALUES (2, ?, ?, 1)', row);
      };
    };
    const beat = async (): Promise<number> =>
      Number((await database.query('SELECT generation FROM cache_barrier WHERE id = 2'))[0]?.[0]);

    /** Beats that come at once are numbered on; there are seconds between them where nobody hurries. */
    async function clockIsPast(time: number): Promise<void> {
      await eventually(async () => {
        const [now] = await database.query('SELECT FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000)');
        return Number(now?.[0]) > time;
      });
    }

    async function started(): Promise<[Incarnation, Incarnation]> {
      const [one, two] = [open(), open()];
      await Promise.all([one.look(), two.look()]);
      return [one, two];
    }

    test('all instances have the same, as long as the database goes on, and so have those that begin later', async () => {
      const [one, two] = [open(0), open(0)];
      await Promise.all([one.look(), two.look()]);
      const before = one.origin;
      expect(before).toMatch(new RegExp(`^${database.origin}token\\d+$`));
      // Each moves the beat on, unless the other one was faster.
      for (let round = 0; round < 5; round += 1) await Promise.all([one.look(), two.look(), two.look()]);
      const late = open();
      await late.look();
      expect([one.origin, two.origin, late.origin, await readOrigin(database)]).toEqual(Array(4).fill(before));
    });

    test('an older backup is noticed by all, and one of them makes the token anew', async () => {
      const [one, two] = await started();
      const before = one.origin;
      await age(20 * second);
      const restore = await backUp();
      await age(-20 * second);
      await restore();
      await Promise.all([one.look(), two.look()]);
      expect(one.origin).not.toBe(before);
      await two.look();
      expect(two.origin).toBe(one.origin);
      // Restored once more, to the same backup: its token was the first one, which must not count again.
      const again = one.origin;
      await restore();
      await Promise.all([one.look(), two.look()]);
      await Promise.all([one.look(), two.look()]);
      expect(two.origin).toBe(one.origin);
      expect([before, again]).not.toContain(one.origin);
    });

    test('a backup that another instance has moved on, because it had not seen the last beat, is noticed by the one that had', async () => {
      const [one, two] = [open(0), open(0)];
      await one.look();
      await two.look();
      const restore = await backUp();
      const before = one.origin;
      expect(two.origin).toBe(before);
      // Only this one sees the beat that the backup does not have.
      await clockIsPast(await beat());
      await one.look();
      const last = await beat();
      await restore();
      expect(await beat()).toBeLessThan(last);
      await clockIsPast(last);
      await two.look();
      expect(two.origin).toBe(before);
      await one.look();
      expect(one.origin).not.toBe(before);
      await two.look();
      expect(two.origin).toBe(one.origin);
    });

    test('an instance that has missed some beats, or more than are kept, takes them for what they are', async () => {
      const [one, two] = [open(0), open()];
      await one.look();
      await two.look();
      const before = one.origin;
      for (const missed of [3, 25]) {
        for (let count = 0; count < missed; count += 1) await one.look();
        await two.look();
        expect([one.origin, two.origin]).toEqual([before, before]);
      }
    });

    test('a backup from before there was such a row, and a table that was made anew', async () => {
      const [one] = await started();
      const before = one.origin;
      await database.execute('DELETE FROM cache_barrier');
      await one.look();
      expect(one.origin).not.toBe(before);
    });

    test('an instance that begins when nobody has looked for long takes nothing for granted, and the others follow', async () => {
      const [one] = await started();
      const before = one.origin;
      await age(25 * second);
      const soon = open();
      await soon.look();
      expect(soon.origin).toBe(before);
      await age(40 * second);
      const late = open();
      await late.look();
      expect(late.origin).not.toBe(before);
      await Promise.all([one.look(), soon.look()]);
      await Promise.all([one.look(), soon.look()]);
      expect([one.origin, soon.origin]).toEqual(Array(2).fill(await readOrigin(database)));
      expect(one.origin).not.toBe(before);
    });

    test('a look at a copy that lags changes nothing', async () => {
      const [one] = await started();
      const before = one.origin;
      const [row = []] = await database.query('SELECT run, generation, generation FROM cache_barrier WHERE id = 2');
      const [token, last] = [String(row[0]), Number(row[1])];
      // What is read comes from the replica, what is written goes to the truth.
      let isLagging = true;
      let lagMs = 10 * second;
      const behind: Database = {
        ...{ origin: database.origin, dialect: database.dialect },
        transaction: (work, options) => database.transaction(work, options),
        load: (sql, params) => database.load(sql, params),
        ping: () => database.ping(),
        close: async () => undefined,
        execute: (sql, params) => database.execute(sql, params),
        query: (sql, params) =>
          isLagging ? Promise.resolve([[token, last - lagMs, last]]) : database.query(sql, params),
      };
      const reader = new Incarnation(behind, { unique: () => 'forged' });
      isLagging = false;
      await reader.look();
      isLagging = true;
      await reader.look();
      isLagging = false;
      await Promise.all([reader.look(), one.look()]);
      expect([reader.origin, one.origin]).toEqual([before, before]);
      [isLagging, lagMs] = [true, 60 * second];
      await expect(new Incarnation(behind).look()).rejects.toThrow('cannot be told');
      const broken = { ...behind, query: async () => [], execute: () => Promise.reject(new Error('read only')) };
      await expect(new Incarnation(broken).look()).rejects.toThrow('read only');
    });
  },
);
