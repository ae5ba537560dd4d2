import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { canInstallPackages, exists, fetchPackage, installPackages } from './debian-packages.ts';
import { runCommand } from './run-command.ts';

/** A server program that can be started here. */
export type ServerBinary = {
  readonly command: string;
  /** Arguments that come before the server's own: a program of another suite is started by that suite's loader. */
  readonly leadingArguments: readonly string[];
  readonly version: string;
  /** For people: where the program comes from. */
  readonly origin: string;
  /** The folder a fetched program was unpacked in. */
  readonly root?: string;
};

export type Unavailable = { readonly unavailable: string };

type Wanted = {
  readonly label: string;
  readonly programs: readonly string[];
  readonly version: (versionOutput: string) => string | undefined;
  readonly packages: readonly string[];
  readonly advice: string;
};

const REDIS: Wanted = {
  label: 'Redis',
  programs: ['redis-server'],
  version: (text) => /\bv=(\d[\d.]*)/.exec(text)?.[1],
  packages: ['redis-tools', 'redis-server'],
  advice: 'install redis-server (Debian: apt-get install redis-server) or set TEST_REDIS_URL=redis://host:port',
};

const MARIADB: Wanted = {
  label: 'MariaDB',
  programs: ['mariadbd', 'mysqld'],
  version: (text) => /\bVer (\d[\d.]*)-MariaDB/.exec(text)?.[1],
  packages: ['mariadb-server-core'],
  advice:
    'install mariadbd (Debian: apt-get install mariadb-server-core) or set TEST_MARIADB_URL=mysql://user:password@host:port',
};

const CHROMIUM: Wanted = {
  label: 'Chromium',
  programs: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
  version: (text) => /^(?:Chromium|Google Chrome)\D* (\d[\d.]*)/m.exec(text)?.[1],
  packages: ['chromium'],
  advice: 'install chromium (Debian: apt-get install chromium) or set CHROMIUM_PATH=/path/of/chromium',
};

const prometheusAdvice = 'install prometheus and promtool (Debian: apt-get install --no-install-recommends prometheus)';

const PROMETHEUS: Wanted = {
  label: 'Prometheus',
  programs: ['prometheus'],
  version: (text) => /^prometheus, version (\S+)/.exec(text)?.[1],
  packages: ['prometheus'],
  advice: prometheusAdvice,
};

const PROMTOOL: Wanted = {
  label: 'promtool',
  programs: ['promtool'],
  version: (text) => /^promtool, version (\S+)/.exec(text)?.[1],
  packages: ['prometheus'],
  advice: prometheusAdvice,
};

const MYSQL = {
  programs: ['mysqld'],
  version: (text: string) => (text.includes('MariaDB') ? undefined : /\bVer (\d[\d.]*)/.exec(text)?.[1]),
  fetched: { name: 'mysql', package: 'mysql-server-core', suite: 'sid' },
  advice: 'install mysqld or set TEST_MYSQL_URL=mysql://user:password@host:port',
};

const VERSION_TIMEOUT_MS = 20_000;
const known = new Map<string, Promise<ServerBinary>>();

export function findRedisServer(): Promise<ServerBinary> {
  return findOnce(REDIS.label, () => findOrInstall(REDIS));
}

export function findMariadbServer(): Promise<ServerBinary> {
  return findOnce(MARIADB.label, () => findOrInstall(MARIADB));
}

export function findPrometheus(): Promise<ServerBinary> {
  return findOnce(PROMETHEUS.label, () => findOrInstall(PROMETHEUS));
}

/** Checks metrics and rules; comes with Prometheus. */
export function findPromtool(): Promise<ServerBinary> {
  return findOnce(PROMTOOL.label, () => findOrInstall(PROMTOOL));
}

/** The browser that `CHROMIUM_PATH` names, else the one that is installed, else Debian's. */
export function findChromium(): Promise<ServerBinary> {
  const command = process.env['CHROMIUM_PATH'] ?? '';
  if (command === '') return findOnce(CHROMIUM.label, () => findOrInstall(CHROMIUM));
  return findOnce(command, async () => {
    const version = CHROMIUM.version(await printVersion(command, []));
    if (version === undefined) throw new Error(`${command} of CHROMIUM_PATH is no Chromium: ${CHROMIUM.advice}`);
    return { command, leadingArguments: [], version, origin: `CHROMIUM_PATH, ${command}` };
  });
}

/** MySQL proper. Debian's stable suites have only MariaDB, so it may have to do without: then the reason is returned. */
export async function findMysqlServer(): Promise<ServerBinary | Unavailable> {
  try {
    return await findOnce('MySQL', async () => {
      const installed = await findInstalled(MYSQL.programs, MYSQL.version);
      if (installed !== undefined) return installed;
      const root = await fetchPackage(MYSQL.fetched);
      return fetchedBinary(root, 'usr/sbin/mysqld', MYSQL.version, `fetched from Debian ${MYSQL.fetched.suite}`);
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { unavailable: `${reason}; ${MYSQL.advice}` };
  }
}

/** One look per process: programs don't come and go during a run. A failure isn't kept. */
function findOnce(label: string, find: () => Promise<ServerBinary>): Promise<ServerBinary> {
  const earlier = known.get(label);
  if (earlier !== undefined) return earlier;
  const found = find();
  known.set(label, found);
  found.catch(() => known.delete(label));
  return found;
}

async function findOrInstall(wanted: Wanted): Promise<ServerBinary> {
  const installed = await findInstalled(wanted.programs, wanted.version);
  if (installed !== undefined) return installed;
  const missing = `${wanted.label} was not found on PATH: ${wanted.advice}`;
  if (!(await canInstallPackages())) throw new Error(missing);
  try {
    await installPackages(wanted.packages);
  } catch (error) {
    throw new Error(`${missing} (installing it failed)`, { cause: error });
  }
  const binary = await findInstalled(wanted.programs, wanted.version);
  if (binary === undefined) throw new Error(`${missing} (installed ${wanted.packages.join(', ')}, still not found)`);
  return { ...binary, origin: `${binary.command}, installed by this run` };
}

async function findInstalled(
  programs: readonly string[],
  version: (text: string) => string | undefined,
): Promise<ServerBinary | undefined> {
  // Debian keeps servers in sbin, which isn't on everyone's PATH.
  const folders = new Set([...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']);
  for (const program of programs) {
    for (const folder of folders) {
      const command = join(folder, program);
      const isProgram = folder !== '' && (await isExecutable(command));
      // A name proves nothing: MariaDB installs a `mysqld` too.
      const found = isProgram ? version(await printVersion(command, [])) : undefined;
      if (found !== undefined) return { command, leadingArguments: [], version: found, origin: command };
    }
  }
  return undefined;
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

function printVersion(command: string, leadingArguments: readonly string[]): Promise<string> {
  const run = runCommand(command, [...leadingArguments, '--version'], { timeoutMs: VERSION_TIMEOUT_MS });
  return run.catch(() => '');
}

/** A program of a fetched suite needs that suite's C library, hence its loader, and finds its libraries beside it. */
async function fetchedBinary(
  root: string,
  program: string,
  version: (text: string) => string | undefined,
  origin: string,
): Promise<ServerBinary> {
  const libraries = await libraryFolders(root);
  const loader = await findLoader(root, libraries);
  const leadingArguments = ['--library-path', libraries.join(':'), join(root, program)];
  const found = version(await printVersion(loader, leadingArguments));
  if (found === undefined) throw new Error(`${program} of ${root} does not start; remove that folder to fetch it anew`);
  return { command: loader, leadingArguments, version: found, origin, root };
}

/** The multiarch folders, `usr/lib/x86_64-linux-gnu` and the like; `lib/...` in suites from before the merge of /usr. */
async function libraryFolders(root: string): Promise<string[]> {
  const folders: string[] = [];
  for (const parent of [join(root, 'usr/lib'), join(root, 'lib')]) {
    const names = (await exists(parent)) ? await readdir(parent) : [];
    folders.push(...names.filter((name) => /-linux-gnu/.test(name)).map((name) => join(parent, name)));
  }
  return folders;
}

async function findLoader(root: string, libraries: readonly string[]): Promise<string> {
  for (const folder of [join(root, 'lib64'), join(root, 'usr/lib64'), join(root, 'usr/lib'), ...libraries]) {
    const names = (await exists(folder)) ? await readdir(folder) : [];
    const loader = names.find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
    if (loader !== undefined) return join(folder, loader);
  }
  throw new Error(`no program loader (ld-linux*.so) under ${root}`);
}
