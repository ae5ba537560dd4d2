import { readdirSync, statSync } from 'node:fs';
import { basename, join, relative } from 'node:path';

/** What is in an image, found out without starting it. */

/** Programs by which more programs could be brought in, and shells to do it with. */
const unwanted = new Set(
  'apt apt-get dpkg apk rpm yum dnf npm npx corepack yarn yarnpkg pnpm pip sh ash bash dash busybox curl wget perl python3'.split(
    ' ',
  ),
);

export type Contents = {
  readonly files: number;
  readonly bytes: number;
  /** By first folder, in bytes. */
  readonly parts: ReadonlyMap<string, number>;
  /** What should not be there, in a sentence each. */
  readonly complaints: readonly string[];
};

export function examineTree(tree: string): Contents {
  const complaints: string[] = [];
  const parts = new Map<string, number>();
  let files = 0;
  let bytes = 0;
  for (const entry of readdirSync(tree, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const inside = relative(tree, path);
    if (entry.isSymbolicLink()) continue;
    const { mode, size, uid } = statSync(path);
    complaints.push(...complaintsAbout(inside, { mode, uid, isFile: entry.isFile() }));
    if (!entry.isFile()) continue;
    files += 1;
    bytes += size;
    const part = partOf(inside);
    parts.set(part, (parts.get(part) ?? 0) + size);
  }
  return { files, bytes, parts, complaints };
}

function complaintsAbout(
  path: string,
  { mode, uid, isFile }: { readonly mode: number; readonly uid: number; readonly isFile: boolean },
): string[] {
  const found: string[] = [];
  const isExecutable = isFile && (mode & 0o111) !== 0;
  if (isExecutable && unwanted.has(basename(path))) found.push(`${path} is a program that nobody needs there`);
  if (/(^|\/)node_modules\/(npm|corepack|typescript|vite|jest)$/.test(path)) found.push(`${path} is for development`);
  if ((mode & 0o6000) !== 0) found.push(`${path} is setuid or setgid`);
  if (uid !== 0) found.push(`${path} belongs to user ${uid}`);
  if ((mode & 0o022) !== 0 && path !== 'tmp') found.push(`${path} can be written by others than root`);
  return found;
}

function partOf(path: string): string {
  const [first = '', second = ''] = path.split('/');
  return first === 'app' ? `app/${second}` : path === 'usr/local/bin/node' ? 'node' : 'libraries and the rest';
}

export type ImageConfig = {
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly healthcheck: readonly string[];
};

/** Reads what `buildah inspect --type image` prints. */
export function readConfig(printed: string): ImageConfig {
  const { config } = JSON.parse(printed).Docker;
  const environment = (config.Env ?? []).map((each: string) => {
    const at = each.indexOf('=');
    return [each.slice(0, at), each.slice(at + 1)];
  });
  return {
    user: config.User,
    entrypoint: config.Entrypoint,
    command: config.Cmd,
    environment: Object.fromEntries(environment),
    folder: config.WorkingDir,
    labels: config.Labels,
    healthcheck: config.Healthcheck?.Test ?? [],
  };
}
