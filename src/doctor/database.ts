import { checkBinlog, checkTriggers } from '../change-feed/server-checks.ts';
import type { DatabaseAddress } from '../config.ts';
import { readClaim } from '../database/barrier.ts';
import type { Database } from '../database/database.ts';
import { errorNumber } from '../database/mysql-errors.ts';
import { CatalogueError, describeError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { tablesOf } from '../resources/changes.ts';
import type { Resource } from '../resources/resource.ts';
import { examineSkew } from './clock-skew.ts';
import { fail, type Finding, ok, warn } from './finding.ts';
import { examineRights } from './database-rights.ts';
import { examineTables } from './database-tables.ts';
import { adviceOnTls, examineTls } from './database-tls.ts';
import { examineReplicas } from './replicas.ts';

/** What a MySQL or MariaDB server tells: version, settings, grants, tables, clock, what waits in the outbox. */
export async function examineDatabase(
  database: Database,
  { address, settings, resources, now, run }: DatabaseCircumstances,
): Promise<Finding[]> {
  let known: Known;
  try {
    known = await readKnown(database);
  } catch (error) {
    return [adviceOn(error, address)];
  }
  const tables = await examineTables(database, resources);
  return [
    ok('mysql.connect', `the database answers at ${address.host}:${address.port} as ${known.account}`),
    examineVersion(known.version),
    ...examineServer(known, settings),
    await examineTls(database, address, settings),
    ...tables,
    ...(await examineRights(database, { resources, account: known.account, schema: address.database })),
    ...(await examineFeed(database, { address, settings, resources })),
    ...(await examineReplicas(database, settings, address)),
    ...(await examineOutbox(database)),
    ...(await examineClaim(database, run)),
    await examineTime(database, now),
  ];
}

export interface DatabaseCircumstances {
  readonly address: DatabaseAddress;
  readonly settings: Settings;
  readonly resources: readonly Resource[];
  /** Our clock, milliseconds of the epoch. */
  readonly now: () => number;
  /** The run of the Redis that the settings name, where it can be told. */
  readonly run: string | undefined;
}

interface Known {
  readonly version: string;
  /** `user@host`, as the server has it. */
  readonly account: string;
  readonly variables: ReadonlyMap<string, string>;
}

async function readKnown(database: Database): Promise<Known> {
  const [[version, account] = []] = await database.query('SELECT VERSION(), CURRENT_USER()');
  const rows = await database.query(
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'super_read_only', 'max_connections', 'max_allowed_packet', 'max_user_connections')",
  );
  const variables = new Map(rows.map(([name, value]): [string, string] => [String(name), String(value)]));
  return { version: String(version), account: String(account), variables };
}

const accessDenied = new Set([1044, 1045, 1698]);
const unknownDatabase = 1049;

function adviceOn(error: unknown, { host, port, user, database }: DatabaseAddress): Finding {
  const cause = error instanceof CatalogueError ? (error.cause ?? error) : error;
  const number = errorNumber(cause) ?? 0;
  const trouble = {
    finding: `the database cannot be used: ${describeError(cause)}`,
    meaning: 'Cached entries are still served; everything else is answered 503.',
  };
  const ofTls = adviceOnTls(describeError(cause));
  if (ofTls !== undefined) return fail('mysql.connect', { ...trouble, remedy: ofTls });
  if (accessDenied.has(number)) {
    const sql = `CREATE USER IF NOT EXISTS '${user}'@'%' IDENTIFIED BY '...'; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, REFERENCES ON \`${database}\`.* TO '${user}'@'%';`;
    return fail('mysql.connect', {
      ...trouble,
      remedy: `${sql}   -- or the right DB_USERNAME and DB_PASSWORD; with REQUIRE X509 also DB_TLS, DB_TLS_CERT_FILE and DB_TLS_KEY_FILE`,
    });
  }
  if (number === unknownDatabase) {
    const sql = `CREATE DATABASE \`${database}\` CHARACTER SET utf8mb4;`;
    return fail('mysql.connect', { ...trouble, remedy: `${sql}   -- or the right DB_DATABASE` });
  }
  const remedy = `mysqladmin -h ${host} -P ${port} -u ${user} -p ping   # from this machine: is it running, does a firewall let it through?`;
  return fail('mysql.connect', { ...trouble, remedy });
}

/** As the README says. */
const oldest = { mysql: [8, 0], mariadb: [10, 11] } as const;

function examineVersion(version: string): Finding {
  const id = 'mysql.version';
  const name = /mariadb/i.test(version) ? 'mariadb' : 'mysql';
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const [leastMajor, leastMinor] = oldest[name];
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return ok(id, `${name} ${version}`);
  return fail(id, {
    finding: `${name} ${version}, where ${leastMajor}.${leastMinor} is the oldest that works`,
    meaning: 'Statements of the service may fail or lock what they should not.',
    remedy: 'mysql_upgrade   # after an upgrade of the server, as its supplier says',
  });
}

const leastPacket = 1024 * 1024;

function examineServer({ variables }: Known, { DB_POOL_SIZE: poolSize }: Settings): Finding[] {
  const findings: Finding[] = [];
  const readOnly = ['super_read_only', 'read_only'].find((name) => /^(on|1)$/i.test(variables.get(name) ?? ''));
  if (readOnly !== undefined) {
    findings.push(
      fail('mysql.read-only', {
        finding: `${readOnly} is on`,
        meaning: 'Writes are answered 503. Is this a replica?',
        remedy: `SET GLOBAL ${readOnly} = OFF;   -- or DB_HOST of the primary`,
      }),
    );
  }
  const most = Number(variables.get('max_connections') ?? 0);
  if (poolSize > most / 2) {
    findings.push(
      warn('mysql.connections', {
        finding: `max_connections is ${most}, and each process of the service takes up to ${poolSize} (DB_POOL_SIZE)`,
        meaning: 'A second process, or the PHP backend, may be refused under load.',
        remedy: `SET GLOBAL max_connections = ${poolSize * 4};`,
      }),
    );
  }
  const packet = Number(variables.get('max_allowed_packet') ?? leastPacket);
  if (packet < leastPacket) {
    findings.push(
      warn('mysql.packet', {
        finding: `max_allowed_packet is ${packet} bytes`,
        meaning: 'Statements with many rows or a long text are refused.',
        remedy: 'SET GLOBAL max_allowed_packet = 67108864;',
      }),
    );
  }
  return findings.length > 0 ? findings : [ok('mysql.settings', `writable, ${most} connections at most`)];
}

/** The same checks that a change feed makes when it starts. */
async function examineFeed(
  database: Database,
  { address, settings, resources }: Pick<DatabaseCircumstances, 'address' | 'settings' | 'resources'>,
): Promise<Finding[]> {
  const id = 'mysql.change-feed';
  const { CHANGE_FEED: feed, FEED_SERVER_ID: serverId } = settings;
  const tables = [...new Set(resources.flatMap(tablesOf))];
  const { user } = address;
  const problems =
    feed === 'triggers' ? await checkTriggers(database, user) : await checkBinlog(database, { user, serverId, tables });
  if (feed === 'off') {
    const wanting = problems.map(({ problem }) => problem).join('; ');
    return [
      ok(id, `off; ${wanting === '' ? 'the server is set up for CHANGE_FEED=binlog' : `for binlog: ${wanting}`}`),
    ];
  }
  if (problems.length === 0) return [ok(id, `the server is set up for CHANGE_FEED=${feed}`)];
  return problems.map(({ code, problem, remedy, isAdvice }) =>
    (isAdvice ? warn : fail)(`${id}.${code}`, {
      finding: problem,
      meaning: isAdvice
        ? 'The change feed works all the same.'
        : 'The change feed stays off: what other programs write is seen when entries expire, or by /internal/broadcast.',
      remedy,
    }),
  );
}

async function examineOutbox(database: Database): Promise<Finding[]> {
  const id = 'mysql.outbox';
  const rows = await database.query('SELECT COUNT(*), MIN(created_at) FROM cache_outbox').catch(() => undefined);
  // That the table is missing has been told.
  if (rows === undefined) return [];
  const [[count, since] = []] = rows;
  if (Number(count) === 0) return [ok(id, 'nothing waits in the outbox')];
  return [
    warn(id, {
      finding: `${String(count)} names wait in cache_outbox, the oldest since ${String(since)} UTC`,
      meaning: 'Redis was out of reach of a writer. Running instances take them away within a second of reaching it.',
      remedy: 'npx energex-cache doctor   # again in some seconds; if they stay, no instance reaches Redis',
    }),
  ];
}

/** Which Redis the instances use, against the one that the settings name. */
async function examineClaim(database: Database, run: string | undefined): Promise<Finding[]> {
  const id = 'mysql.claim';
  const claim = await readClaim(database).catch(() => undefined);
  if (claim === undefined || run === undefined) return [];
  if (claim.run === '') return [ok(id, 'no instance has claimed a Redis yet')];
  if (claim.run === run) return [ok(id, 'this Redis is the one that instances use')];
  return [
    warn(id, {
      finding: 'the Redis that instances used last is another one, or has been restarted since',
      meaning:
        'Right when no instance runs. Else an instance with these settings would take the others away from theirs.',
      remedy: 'npx energex-cache config print   # on each machine: are REDIS_HOST and DB_HOST the same?',
    }),
  ];
}

async function examineTime(database: Database, now: () => number): Promise<Finding> {
  const before = now();
  const [[text] = []] = await database.query('SELECT UTC_TIMESTAMP(6)');
  const after = now();
  const theirs = Date.parse(`${String(text).replace(' ', 'T')}Z`);
  return examineSkew('mysql.clock', 'the database', { theirs, before, after });
}
