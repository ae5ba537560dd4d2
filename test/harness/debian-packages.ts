import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type ArchiveSource, debianArchives } from './apt-sources.ts';
import { withProcessLock } from './process-lock.ts';
import { runCommand } from './run-command.ts';

const APT_TIMEOUT_MS = 300_000;
const LOCK_TIMEOUT_MS = 600_000;
const APT_ENVIRONMENT = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
const POLICY_FILE = '/usr/sbin/policy-rc.d';

/** Folder for what is worth keeping between runs: fetched servers and initialised data directories. */
export function cacheFolder(): string {
  const configured = process.env['XDG_CACHE_HOME'];
  const base = configured === undefined || configured === '' ? join(homedir(), '.cache') : configured;
  return join(base, 'energex-cache-service');
}

export function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Whether `installPackages` has a chance here: root on a machine with apt. */
export async function canInstallPackages(): Promise<boolean> {
  return isRoot() && (await exists('/usr/bin/apt-get'));
}

/** Installs Debian packages without starting any service; updates apt's lists only when they turn out too old. */
export function installPackages(packages: readonly string[]): Promise<void> {
  const install = ['install', '-y', '-q', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', ...packages];
  return withProcessLock('apt-get install', LOCK_TIMEOUT_MS, () =>
    withoutServiceStart(async () => {
      try {
        await apt(install);
      } catch {
        await apt(['update', '-q']);
        await apt(install);
      }
    }),
  );
}

function apt(args: readonly string[]): Promise<string> {
  return runCommand('apt-get', args, { timeoutMs: APT_TIMEOUT_MS, environment: APT_ENVIRONMENT });
}

/**
 * Forbids maintainer scripts to start daemons, the way Debian provides for it: invoke-rc.d(8) asks policy-rc.d.
 * A file that is there already is left alone; ours removes itself when the process that wrote it is gone.
 */
async function withoutServiceStart(work: () => Promise<void>): Promise<void> {
  const script = `#!/bin/sh\nkill -0 ${process.pid} 2>/dev/null && exit 101\nrm -f "$0"\nexit 0\n`;
  const ours = await writeFile(POLICY_FILE, script, { flag: 'wx', mode: 0o755 }).then(
    () => true,
    () => false,
  );
  try {
    await work();
  } finally {
    if (ours) await rm(POLICY_FILE, { force: true });
  }
}

export type PackageRequest = {
  /** Name of the folder in the cache; the suite is appended. */
  readonly name: string;
  readonly package: string;
  readonly suite: string;
};

/**
 * Unpacks a package of another Debian suite with all its dependencies into a folder of its own, and returns the folder.
 * The machine's own packages aren't touched: apt runs on private lists, cache and an empty status file, which makes it
 * fetch every dependency down to the C library. Needs no root. Rejects with the reason where the suite can't be had.
 */
export async function fetchPackage(request: PackageRequest): Promise<string> {
  const folder = join(cacheFolder(), `${request.name}-${request.suite}`);
  if (await exists(folder)) return folder;
  return withProcessLock(folder, LOCK_TIMEOUT_MS, async () => {
    if (await exists(folder)) return folder;
    if (!(await exists('/usr/bin/apt-get'))) throw new Error('this machine has no apt-get');
    const archives = await debianArchives();
    const reasons: string[] = [];
    for (const archive of archives.slice(0, 3)) {
      try {
        await fetchFrom(archive, request, folder);
        return folder;
      } catch (error) {
        reasons.push(firstComplaint(error));
      }
    }
    throw new Error(reasons.join('; ') || 'no source of Debian packages in /etc/apt');
  });
}

function firstComplaint(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').find((line) => /^[EW]: /.test(line)) ?? text.split('\n')[0] ?? text;
}

async function fetchFrom(archive: ArchiveSource, request: PackageRequest, folder: string): Promise<void> {
  // A crash leaves only these two behind, and the next holder of the lock clears them away.
  const workshop = `${folder}.apt`;
  const unpacked = `${folder}.unpacking`;
  try {
    await rm(workshop, { recursive: true, force: true });
    await rm(unpacked, { recursive: true, force: true });
    await mkdir(unpacked, { recursive: true });
    const config = await writeAptConfig(workshop, archive, request.suite);
    await apt(['-c', config, 'update', '-q']);
    await apt(['-c', config, 'install', '-y', '-q', '--download-only', request.package]);
    const debs = join(workshop, 'cache', 'archives');
    for (const deb of (await readdir(debs)).filter((name) => name.endsWith('.deb'))) {
      await runCommand('dpkg-deb', ['-x', join(debs, deb), unpacked], { timeoutMs: APT_TIMEOUT_MS });
    }
    await rename(unpacked, folder);
  } finally {
    await rm(workshop, { recursive: true, force: true });
    await rm(unpacked, { recursive: true, force: true });
  }
}

/** A config file, not `-o`: only a file can clear the hooks that other packages hang on `apt-get update`. */
async function writeAptConfig(workshop: string, archive: ArchiveSource, suite: string): Promise<string> {
  for (const part of ['parts', 'state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(workshop, part), { recursive: true });
  }
  await writeFile(join(workshop, 'status'), '');
  const signedBy = archive.signedBy === undefined ? '' : `Signed-By: ${archive.signedBy}\n`;
  const stanza = `Types: deb\nURIs: ${archive.uri}\nSuites: ${suite}\nComponents: main\n${signedBy}`;
  await writeFile(join(workshop, 'suite.sources'), stanza);
  const config = join(workshop, 'apt.conf');
  const lines = [
    `Dir::Etc::sourcelist "${workshop}/suite.sources";`,
    `Dir::Etc::sourceparts "${workshop}/parts";`,
    `Dir::Etc::preferences "${workshop}/none";`,
    `Dir::Etc::preferencesparts "${workshop}/parts";`,
    `Dir::State "${workshop}/state";`,
    `Dir::State::status "${workshop}/status";`,
    `Dir::Cache "${workshop}/cache";`,
    'APT::Install-Recommends "false";',
    'Acquire::Languages "none";',
    'Acquire::Retries "2";',
    // Without this, a failed index is a warning and the next command's message points the wrong way.
    'APT::Update::Error-Mode "any";',
    'Debug::NoLocking "true";',
    // apt's download user can't enter a private cache folder; signatures are checked all the same.
    ...(isRoot() ? ['APT::Sandbox::User "root";'] : []),
    ...['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'].map(
      (hook) => `#clear ${hook};`,
    ),
  ];
  await writeFile(config, `${lines.join('\n')}\n`);
  return config;
}
