import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import { loadConfig } from '../../src/config.ts';
import { claimRun } from '../../src/database/barrier.ts';
import { migrate } from '../../src/database/migrate.ts';
import { DatabaseOutbox } from '../../src/database/outbox.ts';
import { examineDatabase } from '../../src/doctor/database.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { resources } from '../../src/resources/registry.ts';
import { openDatabase } from '../../src/database/open.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { dial, lumenTables, openMysql } from '../harness/databases.ts';
import { about, troubles } from '../harness/findings.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

/** What `doctor` finds in a real database that is deliberately set wrong, and whether what it names mends it. */

const flavours = [...new Set(sharedDatabases().map(({ flavour }) => flavour))];

describe.each(flavours)('on %s', (flavour: DatabaseFlavour) => {
  let leaks: LeakCheck;
  let server: DatabaseServer;
  let schema: DatabaseSchema;
  let admin: Connection;

  beforeAll(async () => {
    leaks = trackLeaks();
    server = await startDatabaseServer(flavour, { ownProcess: true, config: ['--binlog-row-metadata=FULL'] });
  });
  beforeEach(async () => {
    schema = await createSchema(server);
    admin = await dial(schema);
    const database = openMysql(schema);
    await migrate(database);
    await database.close();
  });
  afterEach(async () => {
    admin.destroy();
    await schema.drop();
  });
  afterAll(async () => {
    await server.stop();
    await leaks.check();
  });

  async function examine(
    more: Record<string, string> = {},
    { now = () => Date.now(), run }: { now?: () => number; run?: string } = {},
  ): Promise<readonly Finding[]> {
    const { settings, backend } = loadConfig({
      REDIS_HOST: '127.0.0.1',
      DB_HOST: schema.host,
      DB_PORT: String(schema.port),
      DB_USERNAME: schema.username,
      DB_PASSWORD: schema.password,
      DB_DATABASE: schema.name,
      ...more,
    });
    if (backend.kind === 'embedded') throw new Error('no server');
    const database = openDatabase({ settings, backend });
    try {
      return await examineDatabase(database, { address: backend.database, settings, resources, now, run });
    } finally {
      await database.close();
    }
  }

  /** What is not in order, after the remedy of each was run. */
  async function mend(findings: readonly Finding[], more: Record<string, string> = {}): Promise<string[]> {
    for (const { severity, remedy } of findings) {
      for (const statement of severity === 'ok' ? [] : remedy.split(/;\s*/)) {
        if (statement !== '') await admin.query(statement);
      }
    }
    return troubles(await examine(more));
  }

  test('a server that is set up well has no trouble', async () => {
    const findings = await examine({ CHANGE_FEED: 'binlog' });
    expect(troubles(findings)).toEqual([]);
    expect(about('mysql.change-feed', findings)[0]?.finding).toBe('the server is set up for CHANGE_FEED=binlog');
  });

  test.each<[string, string[], string[], RegExp]>([
    [
      'a column of posts is missing',
      ['ALTER TABLE posts DROP updated_at'],
      ['fail mysql.table.posts'],
      /no column updated_at/,
    ],
    [
      'a column that is shown is missing',
      ['ALTER TABLE users DROP name'],
      ['fail mysql.table.users'],
      /no column name/,
    ],
    [
      'a column is too short',
      ['ALTER TABLE posts MODIFY title VARCHAR(100) NOT NULL'],
      ['warn mysql.table.posts'],
      /title is varchar\(100\)/,
    ],
    [
      'a column has another type',
      ['ALTER TABLE posts MODIFY content VARCHAR(300) NOT NULL'],
      ['warn mysql.table.posts'],
      /content is varchar/,
    ],
    [
      'a column of our own is missing',
      ['ALTER TABLE cache_barrier DROP settled'],
      ['fail mysql.table.cache_barrier'],
      /no column settled/,
    ],
    [
      'a column that nobody fills',
      ['ALTER TABLE posts ADD slug VARCHAR(50) NOT NULL'],
      ['fail mysql.table.posts'],
      /a column slug that every new row/,
    ],
    [
      'no index for the order',
      ['ALTER TABLE posts DROP KEY posts_created_at_id_index'],
      ['warn mysql.table.posts'],
      /no index on/,
    ],
    [
      'no transactions',
      ['ALTER TABLE cache_outbox ENGINE = MyISAM'],
      ['fail mysql.table.cache_outbox'],
      /kept by MyISAM/,
    ],
    [
      'another character set',
      ['ALTER TABLE users CONVERT TO CHARACTER SET latin1'],
      ['warn mysql.table.users'],
      /latin1/,
    ],
  ])('%s, and the remedy mends it', async (_, statements, expected, finding) => {
    for (const statement of statements) await admin.query(statement);
    const findings = await examine();
    expect(troubles(findings)).toEqual(expected);
    expect(findings.find(({ severity }) => severity !== 'ok')?.finding).toMatch(finding);
    expect(await mend(findings)).toEqual([]);
  });

  test('wider columns, datetimes and columns that fill themselves are as good', async () => {
    await admin.query('ALTER TABLE posts MODIFY title VARCHAR(300) NOT NULL, MODIFY content LONGTEXT NOT NULL');
    await admin.query(
      "ALTER TABLE posts MODIFY created_at DATETIME NULL, ADD kind VARCHAR(10) NOT NULL DEFAULT 'post'",
    );
    expect(troubles(await examine())).toEqual([]);
  });

  test('the tables of the PHP backend: no index for the order, and ours are missing', async () => {
    await admin.query('SET FOREIGN_KEY_CHECKS = 0');
    await admin.query('DROP TABLE posts, users, cache_outbox, cache_barrier, cache_idempotency_keys');
    for (const statement of lumenTables) await admin.query(statement);
    const findings = await examine();
    expect(troubles(findings).toSorted()).toEqual([
      'warn mysql.table.cache_barrier',
      'warn mysql.table.cache_idempotency_keys',
      'warn mysql.table.cache_outbox',
      'warn mysql.table.posts',
    ]);
    expect(about('mysql.table.cache_outbox', findings)[0]?.remedy).toBe('npx energex-cache migrate');
  });

  test('grants that are missing, and the remedy mends it', async () => {
    await admin.query("CREATE OR REPLACE USER energex@'%' IDENTIFIED BY 'pass'").catch(async () => {
      await admin.query("DROP USER IF EXISTS energex@'%'");
      await admin.query("CREATE USER energex@'%' IDENTIFIED BY 'pass'");
    });
    await admin.query(`GRANT SELECT ON ${schema.name}.* TO energex@'%'`);
    await admin.query(`GRANT INSERT, DELETE ON ${schema.name}.cache_outbox TO energex@'%'`);
    const as = { DB_USERNAME: 'energex', DB_PASSWORD: 'pass' };
    const findings = await examine(as);
    expect(troubles(findings)).toEqual(['fail mysql.grants']);
    expect(about('mysql.grants', findings)[0]?.finding).toBe(
      'energex@% may not INSERT posts, cache_idempotency_keys, cache_barrier; UPDATE posts, cache_outbox, cache_idempotency_keys, cache_barrier; DELETE posts, cache_idempotency_keys, cache_barrier',
    );
    expect(await mend(findings, as)).toEqual([]);
    const [count] = await admin.query('SELECT COUNT(*) FROM posts');
    expect(count).toEqual([[0]]);

    const forFeed = await examine({ ...as, CHANGE_FEED: 'binlog' });
    expect(troubles(forFeed)).toEqual(['fail mysql.change-feed.grants']);
    const forTriggers = await examine({ ...as, CHANGE_FEED: 'triggers' });
    expect(troubles(forTriggers)).toContain('fail mysql.change-feed.grants');
  });

  test('a user, a password, a database that are wrong', async () => {
    const [denied] = await examine({ DB_USERNAME: 'nobody', DB_PASSWORD: 'marked' });
    expect(denied).toMatchObject({
      id: 'mysql.connect',
      severity: 'fail',
      remedy: expect.stringContaining("CREATE USER IF NOT EXISTS 'nobody'"),
    });
    expect(JSON.stringify(denied)).not.toContain('marked');
    const [unknown] = await examine({ DB_DATABASE: 'nowhere' });
    expect(unknown).toMatchObject({ severity: 'fail', remedy: expect.stringContaining('CREATE DATABASE `nowhere`') });
    const [refused] = await examine({ DB_PORT: '1' });
    expect(refused).toMatchObject({ severity: 'fail', remedy: expect.stringContaining('mysqladmin -h') });
  });

  test('a binary log that cannot be followed matters to who wants to follow it', async () => {
    await admin.query("SET GLOBAL binlog_format = 'STATEMENT'");
    try {
      const off = await examine();
      expect(troubles(off)).toEqual([]);
      expect(about('mysql.change-feed', off)[0]?.finding).toMatch(/^off; for binlog: binlog_format is STATEMENT/);
      const on = await examine({ CHANGE_FEED: 'binlog' });
      expect(troubles(on)).toEqual(['fail mysql.change-feed.binlog_format']);
      expect(await mend(on, { CHANGE_FEED: 'binlog' })).toEqual([]);
    } finally {
      await admin.query("SET GLOBAL binlog_format = 'ROW'");
    }
  });

  test('a server that is read-only, and one with few connections or small packets', async () => {
    await admin.query('SET GLOBAL read_only = ON');
    const findings = await examine();
    expect(troubles(findings)).toContain('fail mysql.read-only');
    expect(await mend(findings)).toEqual([]);
    await admin.query('SET GLOBAL max_allowed_packet = 65536');
    const narrow = await examine({ DB_POOL_SIZE: '1000' });
    expect(troubles(narrow)).toEqual(['warn mysql.connections', 'warn mysql.packet']);
    expect(await mend(narrow, { DB_POOL_SIZE: '1000' })).toEqual([]);
  });

  test('what waits in the outbox, and a Redis that is not the one in use', async () => {
    const database = openMysql(schema);
    await new DatabaseOutbox(database).record(['post:1', 'posts:all']);
    expect(about('mysql.claim', await examine({}, { run: 'one' }))[0]?.finding).toContain('no instance has claimed');
    await claimRun(database, 'one');
    await database.close();
    const findings = await examine({}, { run: 'another' });
    expect(troubles(findings)).toEqual(['warn mysql.outbox', 'warn mysql.claim']);
    expect(about('mysql.outbox', findings)[0]?.finding).toMatch(/^2 names wait in cache_outbox/);
    expect(troubles(await examine({}, { run: 'one' }))).toEqual(['warn mysql.outbox']);
  });

  test('a clock that is wrong', async () => {
    const findings = await examine({}, { now: () => Date.now() - 3_600_000 });
    expect(about('mysql.clock', findings)).toMatchObject([
      { severity: 'warn', finding: expect.stringMatching(/3[56]\d{5} ms ahead/) },
    ]);
  });
});
