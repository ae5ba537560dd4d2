import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { idOf, readLockfile } from './lockfile.ts';
import { shippedOf } from './shipped.ts';

/** A bill of materials (CycloneDX), as far as it is touched here. */
export interface Bom {
  readonly specVersion: string;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
}

interface Component {
  readonly 'bom-ref': string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
}

/**
 * npm writes it, out of the lockfile. It knows packages of production and of development, and not that some of the latter are
 * handed on as part of the page for operators: so all are asked for, and those that stay here are taken out.
 */
export function makeBom(root: string): Bom {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
  const output = execFileSync('npm', args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const bom: Bom = JSON.parse(output);
  const { name }: { readonly name: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const shipped = new Set(shippedOf(readLockfile(join(root, 'package-lock.json')), root).map(idOf));
  const { component } = bom.metadata;
  const isKept = (ref: string): boolean => shipped.has(ref) || ref === component['bom-ref'];
  return {
    ...bom,
    // npm calls it after the folder that it lies in.
    metadata: { ...bom.metadata, component: { ...component, name } },
    components: bom.components.filter((each) => isKept(each['bom-ref'])),
    dependencies: bom.dependencies
      .filter(({ ref }) => isKept(ref))
      .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter(isKept) })),
  };
}
