import { readFileSync } from 'node:fs';

/** A package as a `package-lock.json` (version 3) has it. */
export interface Locked {
  /** Where it is installed, such as `node_modules/a/node_modules/b`. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  readonly licence: string | undefined;
  readonly isDevelopment: boolean;
  readonly hasInstallScript: boolean;
  /** Digest that npm compares what it fetched with. */
  readonly integrity: string | undefined;
  /** Where it comes from, if that is not the registry. */
  readonly resolved: string | undefined;
  /** Names it needs, and those it uses where they are there. */
  readonly needs: readonly string[];
}

export interface Lockfile {
  readonly packages?: Readonly<Record<string, LockedEntry>>;
}

interface LockedEntry {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly hasInstallScript?: boolean;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

export function readLockfile(file: string): readonly Locked[] {
  return packagesOf(JSON.parse(readFileSync(file, 'utf8')));
}

/** All but the project itself. */
export function packagesOf({ packages = {} }: Lockfile): readonly Locked[] {
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({
      path,
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      version: entry.version ?? '',
      licence: entry.license,
      isDevelopment: entry.dev === true,
      hasInstallScript: entry.hasInstallScript === true,
      integrity: entry.integrity,
      resolved: entry.resolved,
      needs: Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }),
    }));
}

export function idOf({ name, version }: Pick<Locked, 'name' | 'version'>): string {
  return `${name}@${version}`;
}
