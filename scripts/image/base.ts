import { cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { debianArchives } from '../../test/harness/apt-sources.ts';
import { cacheFolder, canInstallPackages, exists, installPackages } from '../../test/harness/debian-packages.ts';
import { runCommand } from '../../test/harness/run-command.ts';

/**
 * A base image like Docker's `node`, made here where no image registry can be asked: Debian by debootstrap, the Node of the
 * development dependencies, and the npm that runs this script.
 */

const debootstrapTimeoutMs = 480_000;
const buildTimeoutMs = 480_000;
const programs = ['buildah', 'debootstrap'];
const root = join(import.meta.dirname, '..', '..');

export async function requirePrograms(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('building an image and running its root file system needs root');
  if (await havePrograms()) return;
  if (await canInstallPackages()) await installPackages(programs);
  if (!(await havePrograms())) throw new Error(`install ${programs.join(' and ')} (Debian: apt-get install)`);
}

async function havePrograms(): Promise<boolean> {
  const there = await Promise.all(['/usr/bin/buildah', '/usr/sbin/debootstrap'].map(exists));
  return there.every(Boolean);
}

export type Buildah = (args: readonly string[]) => Promise<string>;

/** buildah with storage of its own below `folder`: no daemon, no overlay, no namespaces. */
export function buildahIn(folder: string): Buildah {
  const storage = ['--root', join(folder, 'storage'), '--runroot', join(folder, 'run')];
  return async (args) =>
    await runCommand('buildah', [...storage, ...args], {
      timeoutMs: buildTimeoutMs,
      environment: { STORAGE_DRIVER: 'vfs', BUILDAH_ISOLATION: 'chroot' },
    });
}

/** Commits the base under `name`. What npm and apt of this machine are told (registry, certificates) is told there too. */
export async function makeBase(buildah: Buildah, name: string): Promise<void> {
  const debian = await debianTree();
  const container = (await buildah(['from', 'scratch'])).trim();
  const tree = (await buildah(['mount', container])).trim();
  await runCommand('cp', ['-a', `${debian}/.`, tree], { timeoutMs: buildTimeoutMs });
  await addNode(tree);
  await buildah(['umount', container]);
  await buildah(['commit', '--rm', '--quiet', container, name]);
}

async function debianTree(): Promise<string> {
  const [archive] = await debianArchives();
  if (archive === undefined) throw new Error('this machine has no source of Debian packages');
  const codename = await codenameHere();
  const tree = join(cacheFolder(), `debootstrap-${codename}`);
  if (await exists(tree)) return tree;
  const unfinished = `${tree}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { recursive: true });
  const args = ['--variant=minbase', codename, unfinished, archive.uri];
  await runCommand('debootstrap', args, { timeoutMs: debootstrapTimeoutMs });
  await rm(join(unfinished, 'var/cache/apt/archives'), { recursive: true, force: true });
  await rename(unfinished, tree);
  return tree;
}

async function codenameHere(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8');
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (codename === undefined) throw new Error('/etc/os-release names no release of Debian');
  return codename;
}

async function addNode(tree: string): Promise<void> {
  const local = join(tree, 'usr/local');
  await cp(process.execPath, join(local, 'bin/node'), { dereference: true });
  const entry = process.env['npm_execpath'];
  if (entry === undefined) throw new Error('run this by npm: npm run check:image');
  const npm = dirname(dirname(entry));
  await cp(npm, join(local, 'lib/node_modules/npm'), { recursive: true, dereference: true });
  await symlink('../lib/node_modules/npm/bin/npm-cli.js', join(local, 'bin/npm'));
  await tellNpm(tree);
}

/** Its registry, and the certificates that this machine adds to those of Node. */
async function tellNpm(tree: string): Promise<void> {
  const registry = await runCommand('npm', ['config', 'get', 'registry'], { timeoutMs: 30_000 });
  const lines = [`registry=${registry.trim()}`];
  const certificates = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  await mkdir(join(tree, 'usr/local/etc'), { recursive: true });
  if (certificates !== '' && (await exists(certificates))) {
    await cp(certificates, join(tree, 'usr/local/etc/certificates.pem'), { dereference: true });
    lines.push('cafile=/usr/local/etc/certificates.pem');
  }
  await writeFile(join(tree, 'usr/local/etc/npmrc'), `${lines.join('\n')}\n`);
}

/** Builds the image, and resolves with its id. The time of all files is that of the last commit. */
export async function buildImage(buildah: Buildah, base: string, name: string): Promise<string> {
  const git = async (format: string): Promise<string> =>
    (await runCommand('git', ['-C', root, 'log', '-1', `--format=${format}`], { timeoutMs: 10_000 })).trim();
  const epoch = await git('%ct');
  const args = {
    NODE_IMAGE: base,
    SOURCE_DATE_EPOCH: epoch,
    REVISION: await git('%H'),
  };
  const given = Object.entries(args).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
  // Of the two formats only Docker's has a place for HEALTHCHECK.
  const form = ['--format', 'docker', '--timestamp', epoch, '--no-cache', '--pull-never', '--quiet'];
  const printed = await buildah(['bud', ...form, ...given, '--tag', name, root]);
  const id = printed.trim().split('\n').at(-1);
  if (id === undefined || !/^[0-9a-f]{64}$/.test(id)) throw new Error(`buildah did not say what it built:\n${printed}`);
  return id;
}
