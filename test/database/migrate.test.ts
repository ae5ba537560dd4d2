import { afterEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { databases, lumenTables, nameOf, openMysql, openOn, type OwnDatabase } from '../harness/databases.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

const tables = ['users', 'posts', 'cache_outbox', 'cache_idempotency_keys', 'cache_barrier'];

let own: OwnDatabase | undefined;
afterEach(async () => {
  await own?.remove();
  own = undefined;
});

describe.each(databases.map(({ name, open }) => [name, open] as const))('migrating %s', (_name, open) => {
  test('creates the tables that are missing, references first, and then none', async () => {
    own = await open();
    expect(await migrate(own.database)).toEqual(tables);
    for (const table of tables) expect(await own.database.query(`SELECT * FROM ${table}`)).toEqual([]);
    expect(await migrate(own.database)).toEqual([]);
  });

  test('creates a single table that is missing, and keeps the rows of the others', async () => {
    own = await open();
    await migrate(own.database);
    await own.database.execute("INSERT INTO users (name, email, password) VALUES ('n', 'e', '!')");
    await own.database.execute('DROP TABLE cache_outbox');
    expect(await migrate(own.database)).toEqual(['cache_outbox']);
    expect(await own.database.query('SELECT name FROM users')).toEqual([['n']]);
  });

  test('twice at once does no harm', async () => {
    own = await open();
    const { database, schema } = own;
    const other = schema === undefined ? database : openMysql(schema);
    const created = await Promise.all([migrate(database), migrate(other)]);
    expect(new Set(created.flat())).toEqual(new Set(tables));
    expect(await migrate(database)).toEqual([]);
    if (other !== database) await other.close();
  });

  test('a role that nobody gives is `user`, and times that nobody gives are null', async () => {
    own = await open();
    await migrate(own.database);
    await own.database.execute("INSERT INTO users (name, email, password) VALUES ('n', 'e', '!')");
    expect(await own.database.query('SELECT role, created_at, updated_at FROM users')).toEqual([['user', null, null]]);
  });
});

describe.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'migrating %s with tables of the PHP backend',
  (_name, server) => {
    const describeTables = async (database: Database): Promise<unknown> => {
      const shapes = await Promise.all(['users', 'posts'].map((table) => database.query(`SHOW CREATE TABLE ${table}`)));
      const users = await database.query('SELECT * FROM users ORDER BY id');
      return { shapes, users, posts: await database.query('SELECT * FROM posts ORDER BY id') };
    };

    test('touches neither their definitions nor their rows, and adds its own tables', async () => {
      own = await openOn(server);
      const { database } = own;
      for (const sql of lumenTables) await database.execute(sql);
      await database.execute(
        "INSERT INTO users (name, email, password, role, created_at) VALUES ('Ada 😀', 'a', 'hash', 'admin', '2025-01-01 00:00:00')",
      );
      await database.execute("INSERT INTO posts (title, content, user_id) SELECT 'ü', 'text', id FROM users");
      const before = await describeTables(database);
      expect(await migrate(database)).toEqual(['cache_outbox', 'cache_idempotency_keys', 'cache_barrier']);
      expect(await describeTables(database)).toEqual(before);
      expect(before).toMatchObject({ users: [[1, 'Ada 😀', 'a', 'hash', 'admin', '2025-01-01 00:00:00', null]] });
    });

    test('a table of the same name in another database is not taken for one that is there', async () => {
      const elsewhere = await openOn(server);
      await migrate(elsewhere.database);
      own = await openOn(server);
      expect(await migrate(own.database)).toEqual(tables);
      await elsewhere.remove();
    });

    test('its own tables have the shape that the PHP backend expects: types, keys, the cascade, utf8mb4', async () => {
      own = await openOn(server);
      const { database } = own;
      await migrate(database);
      const columns = await database.query(
        "SELECT table_name, column_name, column_type, is_nullable, character_set_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN ('users', 'posts') ORDER BY table_name DESC, ordinal_position",
      );
      const words = columns.map((row) => row.map(String).join(' ').toLowerCase().replace('bigint(20)', 'bigint'));
      expect(words).toEqual([
        'users id bigint unsigned no null',
        ...['name', 'email', 'password', 'role'].map((name) => `users ${name} varchar(255) no utf8mb4`),
        'users created_at timestamp yes null',
        'users updated_at timestamp yes null',
        'posts id bigint unsigned no null',
        'posts title varchar(255) no utf8mb4',
        'posts content text no utf8mb4',
        'posts user_id bigint unsigned no null',
        'posts created_at timestamp yes null',
        'posts updated_at timestamp yes null',
      ]);
      const keys = await database.query(
        'SELECT delete_rule, referenced_table_name FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()',
      );
      expect(keys).toEqual([['CASCADE', 'users']]);
    });
  },
);
