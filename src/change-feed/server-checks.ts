import type { Database } from '../database/database.ts';

/** Something about the server that keeps a feed from working, or makes it worse, and the statement that mends it. */
export interface Problem {
  readonly code: string;
  readonly problem: string;
  /** SQL, or a line for the server's option file. */
  readonly remedy: string;
  /** The feed works all the same. */
  readonly isAdvice: boolean;
}

/** Looks at the settings and grants that following the binary log needs. Rejects when the database cannot be asked. */
export async function checkBinlog(
  database: Database,
  { user, serverId, tables }: { readonly user: string; readonly serverId: number; readonly tables: readonly string[] },
): Promise<readonly Problem[]> {
  const settings = await readSettings(database);
  const grants = await readGrants(database);
  const isMariadb = /mariadb/i.test(settings.get('version') ?? '');
  return [
    ...checkSettings(settings, serverId),
    ...checkMetadata(settings, isMariadb),
    ...checkReplicationGrants(grants, isMariadb, user),
    ...(await checkVisible(database, tables, user)),
  ];
}

/** Looks at what `CHANGE_FEED=triggers` needs. */
export async function checkTriggers(database: Database, user: string): Promise<readonly Problem[]> {
  const settings = await readSettings(database);
  const grants = await readGrants(database);
  const problems: Problem[] = [];
  const [[own] = []] = await database.query('SELECT DATABASE()');
  if (!holds(grants, 'TRIGGER')) {
    problems.push(
      fault('grants', `${user} may not create triggers`, `GRANT TRIGGER ON \`${String(own)}\`.* TO ${account(user)};`),
    );
  }
  const isRestricted =
    settings.get('log_bin') === 'ON' &&
    settings.get('log_bin_trust_function_creators') === 'OFF' &&
    !holds(grants, 'SUPER') &&
    !holds(grants, 'SET USER') &&
    !holds(grants, 'SET_ANY_DEFINER');
  if (isRestricted) {
    problems.push(
      fault(
        'log_bin_trust_function_creators',
        'with a binary log, triggers may only be created by SUPER',
        'SET GLOBAL log_bin_trust_function_creators = ON;',
      ),
    );
  }
  return problems;
}

function checkSettings(settings: ReadonlyMap<string, string>, serverId: number): Problem[] {
  const problems: Problem[] = [];
  const expect = (name: string, isGood: (value: string) => boolean, remedy: string, why: string): void => {
    const value = settings.get(name);
    if (value !== undefined && !isGood(value.toUpperCase())) {
      problems.push(fault(name, `${name} is ${value === '' ? 'empty' : value}: ${why}`, remedy));
    }
  };
  expect(
    'log_bin',
    (value) => value === 'ON' || value === '1',
    'log_bin = binlog   # under [mysqld] of the option file, then a restart',
    'the server writes no binary log',
  );
  expect('binlog_format', (value) => value === 'ROW', 'SET GLOBAL binlog_format = ROW;', 'only rows can be followed');
  expect(
    'binlog_row_image',
    (value) => value.startsWith('FULL'),
    'SET GLOBAL binlog_row_image = FULL;',
    'what did not change is left out of the log',
  );
  expect(
    'binlog_transaction_compression',
    (value) => value === 'OFF',
    'SET GLOBAL binlog_transaction_compression = OFF;',
    'the reader cannot read compressed transactions',
  );
  expect(
    'binlog_row_value_options',
    (value) => value === '',
    "SET GLOBAL binlog_row_value_options = '';",
    'the reader cannot read partial updates of JSON',
  );
  if (settings.get('server_id') === String(serverId)) {
    const remedy = `FEED_SERVER_ID=<a number that no server and no replica has>   # a setting of this service`;
    problems.push(fault('server_id', `FEED_SERVER_ID is ${serverId}, which is the server's own number`, remedy));
  }
  return problems;
}

/** Without it the reader asks for the columns as they are now, which may not be those of a row that was written before. */
function checkMetadata(settings: ReadonlyMap<string, string>, isMariadb: boolean): Problem[] {
  const value = settings.get('binlog_row_metadata');
  if (value === undefined || value === 'FULL') return [];
  const why = 'rows that were written before an ALTER TABLE are read with the columns of after it';
  const problem = `binlog_row_metadata is ${value}: ${why}${isMariadb ? '' : '; SELECT on the tables is needed'}`;
  return [
    {
      code: 'binlog_row_metadata',
      problem,
      remedy: 'SET GLOBAL binlog_row_metadata = FULL;',
      isAdvice: true,
    },
  ];
}

function checkReplicationGrants(grants: readonly string[], isMariadb: boolean, user: string): Problem[] {
  const reads = holds(grants, 'REPLICATION SLAVE') || holds(grants, 'REPLICATION REPLICA');
  const looks = isMariadb
    ? holds(grants, 'BINLOG MONITOR') || holds(grants, 'REPLICATION CLIENT') || holds(grants, 'SUPER')
    : holds(grants, 'REPLICATION CLIENT') || holds(grants, 'SUPER');
  const missing = [
    ...(reads ? [] : ['REPLICATION SLAVE']),
    ...(looks ? [] : [isMariadb ? 'BINLOG MONITOR' : 'REPLICATION CLIENT']),
  ];
  if (missing.length === 0) return [];
  const list = missing.join(', ');
  return [fault('grants', `${user} lacks ${list}`, `GRANT ${list} ON *.* TO ${account(user)};`)];
}

async function checkVisible(database: Database, tables: readonly string[], user: string): Promise<Problem[]> {
  const rows = await database.query(
    `SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (${tables.map(() => '?').join(', ')})`,
    tables,
  );
  const seen = new Set(rows.map(([name]) => String(name)));
  return tables
    .filter((table) => !seen.has(table))
    .map((table) =>
      fault(
        'tables',
        `the table ${table} is not there, or ${user} may not see it`,
        `GRANT SELECT ON ${table} TO ${account(user)};`,
      ),
    );
}

function fault(code: string, problem: string, remedy: string): Problem {
  return { code, problem, remedy, isAdvice: false };
}

function account(user: string): string {
  return `'${user}'@'%'`;
}

async function readSettings(database: Database): Promise<ReadonlyMap<string, string>> {
  const rows = await database.query(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${settingsRead.map((name) => `'${name}'`).join(', ')})`,
  );
  return new Map(rows.map(([name, value]): [string, string] => [String(name), String(value ?? '')]));
}

const settingsRead = [
  'version',
  'server_id',
  'log_bin',
  'log_bin_trust_function_creators',
  'binlog_format',
  'binlog_row_image',
  'binlog_row_metadata',
  'binlog_row_value_options',
  'binlog_transaction_compression',
];

async function readGrants(database: Database): Promise<readonly string[]> {
  const rows = await database.query('SHOW GRANTS');
  return rows.map(([grant]) => String(grant).toUpperCase());
}

/** Roles count as well, where they are active: the servers list what they bring. */
function holds(grants: readonly string[], privilege: string): boolean {
  return grants.some((grant) => {
    const list = /^GRANT (.*?) ON /.exec(grant)?.[1] ?? '';
    const isGlobal = / ON \*\.\* /.test(grant);
    const needsGlobal = privilege !== 'TRIGGER';
    if (needsGlobal && !isGlobal) return false;
    return list.split(', ').some((each) => each === privilege || each === 'ALL PRIVILEGES');
  });
}

/** Whether the server tells in its log what its foreign keys do: MySQL since 9.6, unless told to leave them to InnoDB. */
export async function logsCascades(database: Database): Promise<boolean> {
  const [row] = await database.query("SHOW GLOBAL VARIABLES LIKE 'innodb_native_foreign_keys'");
  return row !== undefined && String(row[1]).toUpperCase() === 'OFF';
}
