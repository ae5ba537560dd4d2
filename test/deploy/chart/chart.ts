import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { root } from '../../../scripts/docs/generated.ts';
import { filesBelow, textOf } from '../../docs/documents.ts';
import { cacheFolder, canInstallPackages, exists, installPackages } from '../../harness/debian-packages.ts';
import { runCommand } from '../../harness/run-command.ts';

/** The Helm chart, rendered offline: see `engine.go` beside this file. */

export const chartFolder = 'deploy/helm/energex-cache';
const packages = ['golang-go', 'golang-github-masterminds-sprig-dev', 'golang-k8s-sigs-yaml-dev'];
/** Where Debian has the sources of libraries in Go. */
const libraries = '/usr/share/gocode';
const buildTimeoutMs = 240_000;

export type Values = { readonly [name: string]: unknown };
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels: Readonly<Record<string, string>> };
  readonly spec: ReturnType<typeof JSON.parse>;
};
export type Rendering = { readonly manifests: readonly Manifest[]; readonly notes: string };

export const standardValues: Values = parse(textOf(`${chartFolder}/values.yaml`));

/** Builds the engine once for each version of its source; installs Go where it is missing. Resolves with its path. */
export async function buildEngine(): Promise<string> {
  const source = 'test/deploy/chart/engine.go';
  const digest = createHash('sha256').update(textOf(source)).digest('hex').slice(0, 12);
  const program = join(cacheFolder(), `chart-engine-${digest}`);
  if (await exists(program)) return program;
  if (!(await hasGo()) && (await canInstallPackages())) await installPackages(packages);
  if (!(await hasGo())) throw new Error(`Go and two libraries are needed: apt-get install ${packages.join(' ')}`);
  mkdirSync(cacheFolder(), { recursive: true });
  await runCommand('go', ['build', '-o', program, join(root, source)], {
    timeoutMs: buildTimeoutMs,
    environment: {
      GO111MODULE: 'off',
      GOPATH: libraries,
      GOFLAGS: '',
      GOCACHE: join(cacheFolder(), 'go'),
      CGO_ENABLED: '0',
    },
  });
  return program;
}

async function hasGo(): Promise<boolean> {
  const there = await Promise.all(
    ['/usr/bin/go', `${libraries}/src/github.com/Masterminds/sprig`, `${libraries}/src/sigs.k8s.io/yaml`].map(exists),
  );
  return there.every(Boolean);
}

/** Renders the chart with `values` over its own. Throws what the engine complains of. */
export function renderChart(engine: string, values: Values): Rendering {
  const chart = parse(textOf(`${chartFolder}/Chart.yaml`));
  const input = {
    // As a template sees them: with a capital.
    chart: Object.fromEntries(
      Object.entries(chart).map(([key, value]) => [key[0]?.toUpperCase() + key.slice(1), value]),
    ),
    values: merge(standardValues, values),
    release: { Name: 'test', Namespace: 'apps', Service: 'Helm', IsInstall: true, IsUpgrade: false, Revision: 1 },
    capabilities: { KubeVersion: { Version: 'v1.33.0' } },
    templates: textsBelow('templates'),
    files: textsBelow('files'),
  };
  const { status, stdout, stderr } = spawnSync(engine, { input: JSON.stringify(input), encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  const rendered: Record<string, string> = JSON.parse(stdout);
  const { 'templates/NOTES.txt': notes = '', ...files } = rendered;
  const documents = Object.values(files).flatMap((text) => parseAllDocuments(text));
  const broken = documents.flatMap(({ errors }) => errors);
  if (broken.length > 0) throw new Error(broken.join('\n'));
  return { manifests: documents.map((each) => each.toJS()).filter((each) => each !== null), notes };
}

function textsBelow(folder: string): Record<string, string> {
  const files = filesBelow(`${chartFolder}/${folder}`, '').filter((file) => /\.\w+$/.test(file));
  return Object.fromEntries(files.map((file) => [file.slice(chartFolder.length + 1), textOf(file)]));
}

/** As Helm merges: objects member by member, null takes away, anything else replaces. */
export function merge(standard: Values, given: Values): Values {
  const result = new Map(Object.entries(standard));
  for (const [name, value] of Object.entries(given)) {
    const before = result.get(name);
    if (value === null) result.delete(name);
    else result.set(name, isObject(before) && isObject(value) ? merge(before, value) : value);
  }
  return Object.fromEntries(result);
}

function isObject(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
