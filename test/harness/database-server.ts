import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { findMariadbServer, findMysqlServer, type ServerBinary } from './binaries.ts';
import { copyPristineData, type DatabaseFlavour, fileArguments } from './database-files.ts';
import { LOOPBACK } from './free-port.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

export type { DatabaseFlavour } from './database-files.ts';

/** All that is needed to use a database server: also across processes, as JSON. */
export type DatabaseServerAddress = {
  readonly flavour: DatabaseFlavour;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** For people: where the server comes from. */
  readonly origin: string;
};

export type DatabaseServer = DatabaseServerAddress & {
  /** Undefined while the server is down, and for a server that isn't ours. */
  readonly pid: number | undefined;
  /** Ends the server at once and removes its data. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing is answered. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): Promise<void>;
  /** Same port and data. An orderly end first if the server is up, crash recovery if it was killed. */
  restart(): Promise<void>;
};

export type DatabaseServerOptions = {
  /** Of root over TCP; empty by default. */
  readonly password?: string;
  /** Further server arguments, such as `['--binlog-format=STATEMENT']`; they win over the harness's own. */
  readonly config?: readonly string[];
  readonly port?: number;
  /** A server of our own even where TEST_MYSQL_URL or TEST_MARIADB_URL names one: for tests that kill or pause it. */
  readonly ownProcess?: boolean;
};

const START_TIMEOUT_MS = 60_000;
const PROBE_TIMEOUT_MS = 2_000;
const URL_VARIABLES = { mysql: 'TEST_MYSQL_URL', mariadb: 'TEST_MARIADB_URL' } as const;

/**
 * Starts a database server of our own with temporary data, a row-based binary log and grants in force, or hands out the
 * one of TEST_MYSQL_URL or TEST_MARIADB_URL if no option asks for something special.
 */
export async function startDatabaseServer(
  flavour: DatabaseFlavour,
  options: DatabaseServerOptions = {},
): Promise<DatabaseServer> {
  const external = process.env[URL_VARIABLES[flavour]];
  if (external !== undefined && external !== '' && Object.keys(options).length === 0) {
    return useExternal(flavour, external);
  }
  const binary = await findBinary(flavour);
  const folder = await makeServerFolder(flavour);
  const password = options.password ?? '';
  const data = join(folder, 'data');
  const server = new ServerProcess({
    label: `${flavour} ${binary.version}`,
    command: binary.command,
    arguments: (port) => serverArguments(flavour, binary, folder, port, options.config ?? []),
    folder,
    ...(options.port === undefined ? {} : { port: options.port }),
    probe: (port) => probe(port, password, data),
    startTimeoutMs: START_TIMEOUT_MS,
  });
  try {
    await copyPristineData(flavour, binary, data);
    await writeFile(join(folder, 'init.sql'), accountStatements(password));
  } catch (error) {
    await server.stop();
    throw error;
  }
  await server.start();
  return {
    flavour,
    version: binary.version,
    host: LOOPBACK,
    port: server.port,
    username: 'root',
    password,
    origin: binary.origin,
    get pid() {
      return server.pid;
    },
    stop: () => server.stop(),
    kill: () => server.kill(),
    pause: () => server.pause(),
    resume: () => server.resume(),
    restart: () => server.restart(),
  };
}

async function findBinary(flavour: DatabaseFlavour): Promise<ServerBinary> {
  if (flavour === 'mariadb') return findMariadbServer();
  const found = await findMysqlServer();
  if ('unavailable' in found) throw new Error(`no MySQL: ${found.unavailable}`);
  return found;
}

function serverArguments(
  flavour: DatabaseFlavour,
  binary: ServerBinary,
  folder: string,
  port: number,
  config: readonly string[],
): string[] {
  return [
    ...binary.leadingArguments,
    ...fileArguments(flavour, binary),
    `--datadir=${join(folder, 'data')}`,
    `--tmpdir=${folder}`,
    // Short names: a socket's path may have 107 bytes at most, and the folder's has most of them on some systems.
    `--socket=${join(folder, 's')}`,
    `--pid-file=${join(folder, 'p')}`,
    `--init-file=${join(folder, 'init.sql')}`,
    `--port=${port}`,
    `--bind-address=${LOOPBACK}`,
    '--skip-name-resolve',
    '--server-id=1',
    '--log-bin=binlog',
    '--binlog-format=ROW',
    '--binlog-row-image=FULL',
    // What a commit wrote survives a kill of the process in the kernel's cache; only a power cut would need the syncs.
    '--innodb-flush-log-at-trx-commit=2',
    '--sync-binlog=0',
    ...config,
  ];
}

/**
 * Runs at every start, and leaves no trace in the binary log. Names aren't resolved, so 127.0.0.1 needs an account of
 * its own beside root@localhost, which is for the socket; MariaDB brings it along, without a password.
 */
function accountStatements(password: string): string {
  const secret = `'${password.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
  return [
    'SET sql_log_bin = 0;',
    `CREATE USER IF NOT EXISTS 'root'@'${LOOPBACK}';`,
    `ALTER USER 'root'@'${LOOPBACK}' IDENTIFIED BY ${secret};`,
    `GRANT ALL PRIVILEGES ON *.* TO 'root'@'${LOOPBACK}' WITH GRANT OPTION;`,
    '',
  ].join('\n');
}

/** Asks for the data folder too: on a port that was lost in a race, somebody else's server may be answering. */
async function probe(port: number, password: string, data: string): Promise<void> {
  const connection = await createConnection({
    host: LOOPBACK,
    port,
    user: 'root',
    password,
    connectTimeout: PROBE_TIMEOUT_MS,
  });
  try {
    const [rows] = await connection.query<RowDataPacket[]>({
      sql: 'SELECT @@datadir AS folder',
      timeout: PROBE_TIMEOUT_MS,
    });
    const folder = String(rows[0]?.['folder']).replace(/\/$/, '');
    if (folder !== data) throw new Error(`port ${port} is answered by the server of ${folder}`);
  } finally {
    connection.destroy();
  }
}

async function useExternal(flavour: DatabaseFlavour, configured: string): Promise<DatabaseServer> {
  const variable = URL_VARIABLES[flavour];
  const url = new URL(configured);
  const account = {
    host: url.hostname,
    port: Number(url.port || 3306),
    username: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
  };
  const version = await externalVersion(account).catch((error: unknown) => {
    throw new Error(`the server of ${variable} (${url.host}) can't be used`, { cause: error });
  });
  if (version.includes('MariaDB') !== (flavour === 'mariadb')) {
    throw new Error(`the server of ${variable} (${url.host}) is not a ${flavour}: it reports ${version}`);
  }
  const refuse = async (): Promise<never> => {
    throw new Error(`the server of ${variable} is not ours to kill, pause or restart: use { ownProcess: true }`);
  };
  return {
    flavour,
    version: /^[\d.]+/.exec(version)?.[0] ?? version,
    ...account,
    origin: `${variable}, ${url.host}`,
    pid: undefined,
    stop: async () => {},
    kill: refuse,
    pause: refuse,
    resume: refuse,
    restart: refuse,
  };
}

type Account = { host: string; port: number; username: string; password: string };

async function externalVersion({ host, port, username, password }: Account): Promise<string> {
  const connection = await createConnection({ host, port, user: username, password, connectTimeout: PROBE_TIMEOUT_MS });
  try {
    const [rows] = await connection.query<RowDataPacket[]>('SELECT VERSION() AS version');
    return String(rows[0]?.['version']);
  } finally {
    await connection.end();
  }
}
