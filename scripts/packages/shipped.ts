import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Locked } from './lockfile.ts';

/** Source that Vite puts into the page for operators, with the packages that it imports. */
const bundled = ['dashboard/src/**/*.{ts,tsx}', 'client/src/**/*.ts'];

/**
 * What leaves this repository: the packages of production, and those of development that are part of the page for operators.
 * Of the latter all that they need counts, whether or not the page uses it.
 */
export function shippedOf(packages: readonly Locked[], root: string): readonly Locked[] {
  const shipped = new Set(packages.filter(({ isDevelopment }) => !isDevelopment));
  const wanted = importsIn(root).flatMap((name) => find(packages, name, ''));
  for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
    const { path, needs } = next;
    const isKnown = shipped.has(next);
    shipped.add(next);
    if (!isKnown) wanted.push(...needs.flatMap((name) => find(packages, name, path)));
  }
  return packages.filter((each) => shipped.has(each));
}

function importsIn(root: string): readonly string[] {
  const files = globSync(bundled, { cwd: root });
  const named = files.flatMap((file) =>
    Array.from(readFileSync(join(root, file), 'utf8').matchAll(/\bfrom '([^.'][^']*)'/g), ([, name = '']) => name),
  );
  return [...new Set(named.map((name) => name.split('/', name.startsWith('@') ? 2 : 1).join('/')))];
}

/** As Node looks for it: beside the package that needs it, then further up. */
function find(packages: readonly Locked[], name: string, from: string): readonly Locked[] {
  for (let folder = from; ; ) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    const found = packages.find((each) => each.path === path);
    if (found !== undefined) return [found];
    // What is optional, or is there for other machines, may be missing.
    if (folder === '') return [];
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')));
  }
}
