import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import { checkBinlog, checkTriggers, logsCascades } from '../../src/change-feed/server-checks.ts';
import { migrate } from '../../src/database/migrate.ts';
import type { MysqlDatabase } from '../../src/database/mysql.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { dial, openMysql } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

const flavours = [...new Set(sharedDatabases().map(({ flavour }) => flavour))];
const tables = ['posts', 'users'];
const serverId = 4_000_000_000;

describe.each(flavours)('what a feed needs of %s', (flavour: DatabaseFlavour) => {
  const isMysql = flavour === 'mysql';
  let leaks: LeakCheck;
  let server: DatabaseServer;
  let schema: DatabaseSchema;
  let admin: Connection;
  let database: MysqlDatabase;

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startDatabaseServer(flavour, { ownProcess: true, config: ['--binlog-row-metadata=FULL'] });
    schema = await createSchema(server);
    admin = await dial(schema);
  });
  beforeEach(async () => {
    database = openMysql(schema);
    await migrate(database);
  });
  afterEach(() => database.close());
  afterAll(async () => {
    admin.destroy();
    await server.stop();
    await leaks.check();
  });

  const faults = () => checkBinlog(database, { user: 'root', serverId, tables });

  test('a server that is set up has no problem', async () => {
    expect(await faults()).toEqual([]);
    expect(await logsCascades(database)).toBe(isMysql);
  });

  test.each([
    ['binlog_format', 'STATEMENT'],
    ['binlog_format', 'MIXED'],
    ['binlog_row_image', 'MINIMAL'],
    ['binlog_row_image', 'NOBLOB'],
    ['binlog_row_metadata', 'MINIMAL'],
    ...(isMysql
      ? [
          ['binlog_transaction_compression', 'ON'],
          ['binlog_row_value_options', 'PARTIAL_JSON'],
        ]
      : []),
  ])('%s = %s is a problem, and the remedy mends it', async (name, value) => {
    await admin.query(`SET GLOBAL ${name} = '${value}'`);
    const [problem, ...more] = await faults();
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ code: name, isAdvice: name === 'binlog_row_metadata' });
    expect(problem?.problem).toContain(`${name} is ${value}`);
    await admin.query(problem?.remedy ?? '');
    expect(await faults()).toEqual([]);
  });

  test("a reader with the server's own number is refused", async () => {
    const [problem] = await checkBinlog(database, { user: 'root', serverId: 1, tables });
    expect(problem).toMatchObject({ code: 'server_id', remedy: expect.stringContaining('FEED_SERVER_ID=') });
  });

  test('a table that is not there', async () => {
    const problems = await checkBinlog(database, { user: 'root', serverId, tables: [...tables, 'comments'] });
    expect(problems).toMatchObject([{ code: 'tables', problem: expect.stringContaining('comments') }]);
  });

  test('missing grants, for the binary log and for triggers, and the remedies mend them', async () => {
    await admin.query("CREATE USER reader@'%' IDENTIFIED BY 'secret'");
    await admin.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema.name}.* TO reader@'%'`);
    const asReader = { ...schema, username: 'reader', password: 'secret' };
    const own = openMysql(asReader);
    const [problem, ...more] = await checkBinlog(own, { user: 'reader', serverId, tables });
    const forTriggers = await checkTriggers(own, 'reader');
    await own.close();
    expect(more).toEqual([]);
    expect(problem).toMatchObject({ code: 'grants', isAdvice: false });
    expect(problem?.problem).toBe(
      `reader lacks REPLICATION SLAVE, ${isMysql ? 'REPLICATION CLIENT' : 'BINLOG MONITOR'}`,
    );
    expect(forTriggers.map(({ code }) => code)).toEqual(['grants', 'log_bin_trust_function_creators']);
    for (const { remedy } of [problem, ...forTriggers].filter((each) => each !== undefined)) await admin.query(remedy);
    const again = openMysql(asReader);
    expect(await checkBinlog(again, { user: 'reader', serverId, tables })).toEqual([]);
    expect(await checkTriggers(again, 'reader')).toEqual([]);
    await again.close();
  });
});

test.each(flavours)('%s without a binary log', async (flavour) => {
  const leaks = trackLeaks();
  const server = await startDatabaseServer(flavour, {
    ownProcess: true,
    config: flavour === 'mysql' ? ['--disable-log-bin'] : ['--skip-log-bin'],
  });
  const schema = await createSchema(server);
  const database = openMysql(schema);
  await migrate(database);
  const problems = await checkBinlog(database, { user: 'root', serverId, tables });
  expect(problems).toContainEqual(
    expect.objectContaining({ code: 'log_bin', remedy: expect.stringContaining('log_bin = binlog') }),
  );
  await database.close();
  await server.stop();
  await leaks.check();
});
