import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { startDatabaseServer } from '../harness/database-server.ts';
import { nameOf, openMysql } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy } from '../harness/tcp-proxy.ts';

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'the origin of data: %s',
  (_name, server) => {
    let leaks: LeakCheck;
    let schema: DatabaseSchema;
    const closers: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      leaks = trackLeaks();
      schema = await createSchema(server);
    });
    afterEach(async () => {
      for (const close of closers.splice(0).toReversed()) await close();
    });
    afterAll(async () => {
      await schema.drop();
      await leaks.check();
    });

    const open = (...args: Parameters<typeof openMysql>): Database => {
      const database = openMysql(...args);
      closers.push(() => database.close());
      return database;
    };

    test('is not known before the first connection, and then the same for every client and connection', async () => {
      const [one, two] = [open(schema), open(schema)];
      expect(one.origin).toBe('');
      await Promise.all([one.ping(), one.ping(), two.ping()]);
      expect(one.origin).toMatch(/^[\w-]{12}$/);
      expect(two.origin).toBe(one.origin);
    });

    test('is what it was told to be, if it was', async () => {
      const database = open(schema, { origin: 'shop' });
      await database.ping();
      expect(database.origin).toBe('shop');
    });

    test('is another one when the address leads to another server, and no connection to the old one is used any more', async () => {
      const other = await startDatabaseServer(server.flavour, { ownProcess: true });
      closers.push(() => other.stop());
      // A database that both have.
      const system = { ...schema, name: 'mysql' };
      const proxy = await startProxy(schema);
      closers.push(() => proxy.close());
      const database = open(system, { poolSize: 3 }, proxy);
      const port = async (): Promise<unknown> => (await database.query('SELECT @@port'))[0]?.[0];
      await Promise.all([database.query('SELECT SLEEP(0.05)'), database.query('SELECT SLEEP(0.05)')]);
      const before = database.origin;
      expect(proxy.connections).toBe(2);
      proxy.leadTo(other);
      expect(await port()).toBe(server.port);
      // A third connection is made while the two are busy, and it reaches the other server.
      await Promise.all([1, 2, 3].map(() => database.query('SELECT SLEEP(0.05)')));
      expect(database.origin).not.toBe(before);
      expect(await Promise.all([port(), port(), port()])).toEqual([other.port, other.port, other.port]);
      expect(proxy.connections).toBeLessThanOrEqual(3);
    }, 60_000);
  },
);
