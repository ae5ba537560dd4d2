import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { findMysqlServer } from './binaries.ts';
import { createSchema, type DatabaseSchema } from './database-schema.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from './database-server.ts';
import { type LeakCheck, trackLeaks } from './leaks.ts';

const PASSWORD = "it's a \\ secret";
const mysql = await findMysqlServer();
const flavours: DatabaseFlavour[] = 'unavailable' in mysql ? ['mariadb'] : ['mysql', 'mariadb'];

describe.each(flavours)('a %s server of our own', (flavour) => {
  const connections: Connection[] = [];
  let leaks: LeakCheck;
  let server: DatabaseServer;
  let schema: DatabaseSchema;

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startDatabaseServer(flavour, { password: PASSWORD });
    schema = await createSchema(server, 'harness');
  }, 120_000);

  afterEach(() => {
    for (const connection of connections.splice(0)) connection.destroy();
  });

  afterAll(async () => {
    await server.stop();
    await leaks.check();
  });

  async function dial(user = 'root', password = PASSWORD): Promise<Connection> {
    const { host, port, name } = schema;
    const connection = await createConnection({ host, port, user, password, database: name, connectTimeout: 5_000 });
    connection.on('error', () => {});
    connections.push(connection);
    return connection;
  }

  async function firstRow(connection: Connection, statement: string): Promise<Record<string, unknown>> {
    const [rows] = await connection.query<RowDataPacket[]>(statement);
    return { ...rows[0] };
  }

  test('is the flavour and version it claims to be', async () => {
    const { version } = await firstRow(await dial(), 'SELECT VERSION() AS version');
    expect(String(version).startsWith(server.version)).toBe(true);
    expect(String(version).includes('MariaDB')).toBe(flavour === 'mariadb');
  });

  test('writes a binary log of full rows, which setting up the accounts left empty', async () => {
    const connection = await dial();
    const settings = 'SELECT @@log_bin AS log, @@binlog_format AS format, @@binlog_row_image AS image';
    expect(await firstRow(connection, settings)).toEqual({ log: 1, format: 'ROW', image: 'FULL' });
    const [events] = await connection.query<RowDataPacket[]>("SHOW BINLOG EVENTS IN 'binlog.000001'");
    expect(events.filter((event) => /USER|GRANT/i.test(String(event['Info'])))).toEqual([]);
  });

  test('enforces passwords and grants', async () => {
    await expect(dial('root', 'wrong')).rejects.toThrow(/Access denied/);
    const root = await dial();
    await root.query('CREATE TABLE guarded (id INT PRIMARY KEY)');
    await root.query("CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY 'r'");
    await root.query(`GRANT SELECT ON ${schema.name}.* TO 'reader'@'127.0.0.1'`);
    const reader = await dial('reader', 'r');
    await expect(reader.query('SELECT * FROM guarded')).resolves.toBeDefined();
    await expect(reader.query('INSERT INTO guarded VALUES (1)')).rejects.toThrow(/denied/);
  });

  test('keeps committed rows over a kill, on the same port', async () => {
    const { pid, port } = server;
    const before = await dial();
    await before.query('CREATE TABLE kept (id INT PRIMARY KEY)');
    await before.query('INSERT INTO kept VALUES (1), (2)');
    await server.kill();
    await expect(dial()).rejects.toThrow(/ECONNREFUSED/);
    await server.restart();
    expect([server.port === port, server.pid === pid]).toEqual([true, false]);
    expect(await firstRow(await dial(), 'SELECT COUNT(*) AS rows_kept FROM kept')).toEqual({ rows_kept: 2 });
  }, 60_000);

  test('answers nothing while paused, and everything afterwards', async () => {
    const connection = await dial();
    await server.pause();
    let answered = false;
    const answer = firstRow(connection, 'SELECT 1 AS one').finally(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(false);
    await server.resume();
    expect(await answer).toEqual({ one: 1 });
  });

  test('holds schemas of unique names, in utf8mb4, that can be dropped twice', async () => {
    const [one, two] = await Promise.all([createSchema(server), createSchema(server)]);
    expect(one.name).not.toBe(two.name);
    const charset = `SELECT default_character_set_name AS charset FROM information_schema.schemata
      WHERE schema_name = '${one.name}'`;
    expect(await firstRow(await dial(), charset)).toEqual({ charset: 'utf8mb4' });
    await Promise.all([one.drop(), two.drop()]);
    await one.drop();
    expect(await firstRow(await dial(), charset)).toEqual({});
    await expect(createSchema(server, 'no-good')).rejects.toThrow('no good database name');
  });

  test('says why it did not start', async () => {
    const start = startDatabaseServer(flavour, { config: ['--no-such-option'] });
    await expect(start).rejects.toThrow(/no-such-option/);
  }, 60_000);
});
