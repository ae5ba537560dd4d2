import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import type { RowDataPacket } from 'mysql2/promise';
import { BinlogSource } from '../../src/change-feed/binlog.ts';
import { type ChangeStream, type Position, PositionLost } from '../../src/change-feed/change-source.ts';
import type { Database, SqlValue } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { meaningOf } from '../../src/resources/changes.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { buildStatements } from '../../src/resources/statements.ts';
import { describeChangeSource, followed, rowsOf, type SourceUnderTest, take } from '../contracts/change-source.ts';
import { type DatabaseServer, type DatabaseServerAddress, startDatabaseServer } from '../harness/database-server.ts';
import type { DatabaseSchema } from '../harness/database-schema.ts';
import { dial, nameOf, openOn } from '../harness/databases.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

const withoutIds = ['--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'];

type Tested = SourceUnderTest & { readonly database: Database; readonly schema: DatabaseSchema };

async function openSource(server: DatabaseServerAddress): Promise<Tested> {
  const { database, schema, remove } = await openOn(server);
  await migrate(database);
  await database.execute('CREATE TABLE others (id INT PRIMARY KEY, name VARCHAR(20))');
  const source = new BinlogSource({
    server: {
      host: schema.host,
      port: schema.port,
      user: schema.username,
      password: schema.password,
      database: schema.name,
    },
    serverId: 2 ** 31 + Math.floor(Math.random() * 2 ** 30),
    timeoutMs: 10_000,
  });
  const close = async (): Promise<void> => {
    await source.close();
    await remove();
  };
  return { source, database, schema, tellsOfTables: true, keepsPlaces: true, close };
}

for (const server of sharedDatabases()) {
  describeChangeSource(`the binary log of ${nameOf(server)}`, () => openSource(server));
}

describeChangeSource('the binary log of MySQL without global ids', async () => {
  const server = await startDatabaseServer('mysql', { config: withoutIds });
  const opened = await openSource(server);
  return {
    ...opened,
    close: async () => {
      await opened.close();
      await server.stop();
    },
  };
});

describe.each(sharedDatabases().map((server) => ({ server, name: nameOf(server) })))(
  'values of the binary log ($name)',
  ({ server }) => {
    const stops = stopAfterEach();

    test('are those of a SELECT, byte for byte in JSON', async () => {
      const { database, source, close } = await openSource(server);
      stops.push(close);
      const stream: ChangeStream = await source.open(await source.end(), followed);
      stops.push(() => stream.close());
      await database.execute(
        "INSERT INTO users (id, name, email, password) VALUES (CAST('18446744073709551614' AS UNSIGNED), 'A', 'a', 'p'), (1, 'B', 'b', 'p')",
      );
      const rows: SqlValue[][] = [
        ['9007199254740993', 'beyond 2^53', 'x', '1970-01-01 00:00:01', '2038-01-19 03:14:07', '1'],
        ['18446744073709551615', '"quotes" \\ and\nlines', '', null, null, '18446744073709551614'],
        ['3', 'שלום 😀 ñ', 'ÿ'.repeat(30_000), '2025-03-30 02:30:00', '2000-02-29 23:59:59', '1'],
      ];
      const { integer } = database.dialect;
      for (const row of rows) {
        await database.execute(
          `INSERT INTO posts (id, title, content, created_at, updated_at, user_id) VALUES (${integer}, ?, ?, ?, ?, ${integer})`,
          row,
        );
      }
      const changes = rowsOf(await take(stream, 5)).filter(({ table }) => table === 'posts');
      const statements = buildStatements(posts, database.dialect);
      for (const [index, [id = null]] of rows.entries()) {
        const [selected] = await database.query(statements.selectItem, [id]);
        const change = changes[index];
        const own = change === undefined ? undefined : meaningOf(posts, change).events[0]?.own;
        const embedded = selected?.slice(6) ?? [];
        expect(posts.toJson([...(own ?? []), ...embedded])).toBe(posts.toJson(selected ?? []));
        expect(change?.after?.['id']?.toString()).toBe(id);
      }
    });
  },
);

/** All binary logs but a new one go. */
async function purge(schema: DatabaseSchema): Promise<void> {
  const connection = await dial(schema);
  try {
    await connection.query('FLUSH BINARY LOGS');
    const [rows] = await connection.query<RowDataPacket[]>({ sql: 'SHOW BINARY LOGS', rowsAsArray: false });
    await connection.query('PURGE BINARY LOGS TO ?', [rows.at(-1)?.['Log_name']]);
  } finally {
    await connection.end();
  }
}

describe.each([
  { name: 'with global ids', config: [] },
  { name: 'without', config: withoutIds },
])('a position that is gone ($name)', ({ config }) => {
  let server: DatabaseServer;
  beforeAll(async () => {
    server = await startDatabaseServer('mysql', { ownProcess: true, config });
  });
  afterAll(() => server.stop());

  test('is PositionLost: purged, of another server, or of a log that was begun anew', async () => {
    const { database, schema, source, close } = await openSource(server);
    const start = async (from: Position): Promise<unknown> => {
      const stream = await source.open(from, followed);
      try {
        return await stream.next(1);
      } finally {
        await stream.close();
      }
    };
    try {
      const old = await source.end();
      await database.execute("INSERT INTO others (id, name) VALUES (1, 'x')");
      await purge(schema);
      await expect(start(old)).rejects.toBeInstanceOf(PositionLost);
      const later = { ...old, file: 'binlog.999999' };
      const elsewhere = old.gtids === undefined ? { ...old, log: 'another' } : { ...old, gtids: `${randomUUID()}:1-5` };
      await expect(start(elsewhere)).rejects.toBeInstanceOf(PositionLost);
      if (old.gtids === undefined) await expect(start(later)).rejects.toBeInstanceOf(PositionLost);
    } finally {
      await close();
    }
  });
});
