import { constants } from 'node:fs';
import { access, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { canInstallPackages, exists, fetchPackage, installPackages, type PackageRequest } from './debian-packages.ts';
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
  /** What makes it print its version; `--version` by default. */
  readonly versionFlag?: string;
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

const NGINX: Wanted = {
  label: 'nginx',
  programs: ['nginx'],
  version: (text) => /^nginx version: \S+?\/([\d.]+)/m.exec(text)?.[1],
  versionFlag: '-v',
  packages: ['nginx'],
  advice: 'install nginx (Debian: apt-get install --no-install-recommends nginx)',
};

/** Debian's own is the first version up to the release before; the plugin of the Docker command line is not looked for. */
const COMPOSE = {
  programs: ['docker-compose'],
  version: (text: string) => /^Docker Compose version v?(\d[\d.]*)/m.exec(text)?.[1],
  versionFlag: 'version',
  fetched: { name: 'docker-compose', package: 'docker-compose', suite: 'trixie' },
  program: 'usr/libexec/docker/cli-plugins/docker-compose',
};

type Fetchable = Pick<Wanted, 'programs' | 'version' | 'advice'> & {
  readonly fetched: PackageRequest;
  /** Where it is in the folder that it was unpacked in. */
  readonly program: string;
};

const MYSQL: Fetchable = {
  programs: ['mysqld'],
  program: 'usr/sbin/mysqld',
  version: (text) => (text.includes('MariaDB') ? undefined : /\bVer (\d[\d.]*)/.exec(text)?.[1]),
  fetched: { name: 'mysql', package: 'mysql-server-core', suite: 'sid' },
  advice: 'install mysqld or set TEST_MYSQL_URL=mysql://user:password@host:port',
};

/** The Redis of the machine, and what its users may run instead: these come from a suite of their own. */
export type RedisKind = 'installed' | 'redis-8' | 'valkey';

const FETCHED_REDIS: Readonly<Record<Exclude<RedisKind, 'installed'>, Fetchable>> = {
  'redis-8': {
    programs: ['redis-server'],
    program: 'usr/bin/redis-server',
    version: (text) => /\bv=((?:[89]|\d\d)\.[\d.]*)/.exec(text)?.[1],
    fetched: { name: 'redis', package: 'redis-server', suite: 'sid' },
    advice: 'it comes from Debian sid',
  },
  valkey: {
    programs: ['valkey-server'],
    program: 'usr/bin/valkey-server',
    version: (text) => /^Valkey server v=(\d[\d.]*)/m.exec(text)?.[1],
    fetched: { name: 'valkey', package: 'valkey-server', suite: 'sid' },
    advice: 'install valkey-server',
  },
};

/** What people call them. */
export const redisLabels: Readonly<Record<RedisKind, string>> = {
  installed: 'Redis',
  'redis-8': 'Redis 8',
  valkey: 'Valkey',
};

const VERSION_TIMEOUT_MS = 20_000;
const known = new Map<string, Promise<ServerBinary>>();

export function findRedisServer(): Promise<ServerBinary> {
  return findOnce(REDIS.label, () => findOrInstall(REDIS));
}

/** One of the others. It may have to do without: then the reason is returned. */
export function findOtherRedis(kind: Exclude<RedisKind, 'installed'>): Promise<ServerBinary | Unavailable> {
  return findOrFetch(redisLabels[kind], FETCHED_REDIS[kind]);
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

export function findNginx(): Promise<ServerBinary> {
  return findOnce(NGINX.label, () => findOrInstall(NGINX));
}

/** Reads compose files; needs no container engine for that. */
export function findDockerCompose(): Promise<ServerBinary> {
  return findOnce('Docker Compose', async () => {
    const { programs, version, versionFlag, fetched, program } = COMPOSE;
    const installed = await findInstalled(programs, version, versionFlag);
    if (installed !== undefined) return installed;
    const root = await fetchPackage(fetched).catch((cause: unknown) => {
      throw new Error('Docker Compose 2 was not found: install docker-compose of that version', { cause });
    });
    return fetchedBinary(root, program, { version, flag: versionFlag, origin: `fetched from Debian ${fetched.suite}` });
  });
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
export function findMysqlServer(): Promise<ServerBinary | Unavailable> {
  return findOrFetch('MySQL', MYSQL);
}

/** What is installed, else what a suite of Debian has that this machine does not run. */
async function findOrFetch(label: string, wanted: Fetchable): Promise<ServerBinary | Unavailable> {
  try {
    return await findOnce(label, async () => {
      const installed = await findInstalled(wanted.programs, wanted.version);
      if (installed !== undefined) return installed;
      const root = await fetchPackage(wanted.fetched);
      const origin = `fetched from Debian ${wanted.fetched.suite}`;
      return fetchedBinary(root, wanted.program, { version: wanted.version, origin });
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { unavailable: `${reason}; ${wanted.advice}` };
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
  const installed = await findInstalled(wanted.programs, wanted.version, wanted.versionFlag);
  if (installed !== undefined) return installed;
  const missing = `${wanted.label} was not found on PATH: ${wanted.advice}`;
  if (!(await canInstallPackages())) throw new Error(missing);
  try {
    await installPackages(wanted.packages);
  } catch (error) {
    throw new Error(`${missing} (installing it failed)`, { cause: error });
  }
  const binary = await findInstalled(wanted.programs, wanted.version, wanted.versionFlag);
  if (binary === undefined) throw new Error(`${missing} (installed ${wanted.packages.join(', ')}, still not found)`);
  return { ...binary, origin: `${binary.command}, installed by this run` };
}

async function findInstalled(
  programs: readonly string[],
  version: (text: string) => string | undefined,
  flag?: string,
): Promise<ServerBinary | undefined> {
  // Debian keeps servers in sbin, which isn't on everyone's PATH.
  const folders = new Set([...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']);
  for (const program of programs) {
    for (const folder of folders) {
      const command = join(folder, program);
      const isProgram = folder !== '' && (await isExecutable(command));
      // A name proves nothing: MariaDB installs a `mysqld` too.
      const found = isProgram ? version(await printVersion(command, [], flag)) : undefined;
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

/** What it prints on either stream: nginx tells its version on standard error. */
function printVersion(command: string, leadingArguments: readonly string[], flag = '--version'): Promise<string> {
  const script = ['-c', 'exec "$@" 2>&1', 'version', command, ...leadingArguments, flag];
  return runCommand('sh', script, { timeoutMs: VERSION_TIMEOUT_MS }).catch(() => '');
}

/** A program of a fetched suite needs that suite's C library, hence its loader, and finds its libraries beside it. */
async function fetchedBinary(
  root: string,
  program: string,
  {
    version,
    flag,
    origin,
  }: { readonly version: (text: string) => string | undefined; readonly flag?: string; readonly origin: string },
): Promise<ServerBinary> {
  const libraries = await libraryFolders(root);
  const loader = await findLoader(root, libraries);
  const leadingArguments = ['--library-path', libraries.join(':'), join(root, program)];
  const found = version(await printVersion(loader, leadingArguments, flag));
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
