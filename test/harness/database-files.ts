import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ServerBinary } from './binaries.ts';
import { cacheFolder, exists } from './debian-packages.ts';
import { withProcessLock } from './process-lock.ts';
import { runCommand } from './run-command.ts';

export type DatabaseFlavour = 'mysql' | 'mariadb';

const INITIALISE_TIMEOUT_MS = 120_000;
const COPY_TIMEOUT_MS = 60_000;

/** What both the initialisation and every start must be told alike, for it decides the shape of the files. */
export function fileArguments(flavour: DatabaseFlavour, binary: ServerBinary): string[] {
  const common = [
    '--no-defaults',
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
    '--innodb-buffer-pool-size=64M',
  ];
  // Small logs make a small folder to copy; MySQL 9 stalls with less than 16 MB while it initialises.
  if (flavour === 'mariadb') return [...common, '--innodb-log-file-size=8M'];
  return [
    ...common,
    '--innodb-redo-log-capacity=16M',
    '--performance-schema=OFF',
    '--mysqlx=OFF',
    '--secure-file-priv=NULL',
    ...(binary.root === undefined
      ? []
      : [`--basedir=${binary.root}/usr`, `--lc-messages-dir=${binary.root}/usr/share/mysql`]),
  ];
}

/**
 * Fills `target` with an initialised data directory: system tables, no user database, root@localhost without password.
 * Initialising takes seconds, so it is done once per server version and kept in the cache folder to copy from.
 */
export async function copyPristineData(flavour: DatabaseFlavour, binary: ServerBinary, target: string): Promise<void> {
  const pristine = await pristineData(flavour, binary);
  // `cp` shares the blocks of the files where the file system can; Node's own copy would open them one by one.
  await runCommand('cp', ['-R', pristine, target], { timeoutMs: COPY_TIMEOUT_MS });
}

async function pristineData(flavour: DatabaseFlavour, binary: ServerBinary): Promise<string> {
  // Other arguments or another program of the same version may mean other files.
  const identity = [binary.command, ...binary.leadingArguments, ...fileArguments(flavour, binary)].join('\n');
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 8);
  const pristine = join(cacheFolder(), `data-${flavour}-${binary.version}-${hash}`);
  if (await exists(pristine)) return pristine;
  return withProcessLock(pristine, INITIALISE_TIMEOUT_MS, async () => {
    if (await exists(pristine)) return pristine;
    const unfinished = `${pristine}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    try {
      if (flavour === 'mariadb') await initialiseMariadb(binary, unfinished);
      else await initialiseMysql(binary, unfinished);
      await rename(unfinished, pristine);
    } finally {
      await rm(unfinished, { recursive: true, force: true });
    }
    return pristine;
  });
}

async function initialiseMysql(binary: ServerBinary, data: string): Promise<void> {
  const args = ['--initialize-insecure', `--datadir=${data}`];
  await runCommand(binary.command, [...binary.leadingArguments, ...fileArguments('mysql', binary), ...args], {
    timeoutMs: INITIALISE_TIMEOUT_MS,
  });
  // Holds the server's uuid, by which replication tells servers apart: every copy makes its own.
  await rm(join(data, 'auto.cnf'), { force: true });
}

/**
 * Does what mariadb-install-db does, without that script: it wants `my_print_defaults`, which Debian packs with the
 * whole server. The system tables come from the SQL files beside the server, run by its bootstrap mode.
 */
async function initialiseMariadb(binary: ServerBinary, data: string): Promise<void> {
  const share = await shareFolder(binary);
  const names = ['system_tables', 'performance_tables', 'system_tables_data', 'sys_schema'];
  const scripts: string[] = [];
  for (const name of names) scripts.push(await readFirst(share, [`mysql_${name}.sql`, `mariadb_${name}.sql`]));
  const script = join(data, 'bootstrap.sql');
  // A set variable would tie root to the Unix user of that name, and with it to the socket.
  const prologue = 'create database if not exists mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n';
  await writeFile(script, `${prologue}${scripts.join('\n')}\n`);
  const server = [binary.command, ...binary.leadingArguments, ...fileArguments('mariadb', binary)];
  const args = ['--bootstrap', `--datadir=${data}`, '--skip-log-bin', '--log-warnings=0', '--max-allowed-packet=8M'];
  // The server reads its SQL from standard input, which only a shell can connect to a file in one call.
  await runCommand('sh', ['-c', 'script=$1; shift; exec "$@" < "$script"', 'sh', script, ...server, ...args], {
    timeoutMs: INITIALISE_TIMEOUT_MS,
  });
  await rm(script);
}

async function shareFolder(binary: ServerBinary): Promise<string> {
  const prefix = join(dirname(binary.command), '..');
  for (const name of ['share/mysql', 'share/mariadb', 'share']) {
    const folder = join(prefix, name);
    for (const family of ['mysql', 'mariadb']) {
      if (await exists(join(folder, `${family}_system_tables.sql`))) return folder;
    }
  }
  throw new Error(`no system tables for ${binary.command} under ${prefix}/share: is its installation complete?`);
}

async function readFirst(folder: string, names: readonly string[]): Promise<string> {
  for (const name of names) {
    if (await exists(join(folder, name))) return readFile(join(folder, name), 'utf8');
  }
  throw new Error(`none of ${names.join(', ')} in ${folder}`);
}
