import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { root } from '../../scripts/docs/generated.ts';
import { verdictOn } from '../../scripts/packages/audit.ts';
import { makeBom } from '../../scripts/packages/bom.ts';
import { installScriptProblems, originProblems } from '../../scripts/packages/install-scripts.ts';
import { allows, licenceOf, licenceProblems } from '../../scripts/packages/licences.ts';
import { idOf, type Locked, packagesOf, readLockfile } from '../../scripts/packages/lockfile.ts';
import { shippedOf } from '../../scripts/packages/shipped.ts';
import { textOf } from '../docs/documents.ts';

const run = promisify(execFile);
const packages = readLockfile(join(root, 'package-lock.json'));
const shipped = shippedOf(packages, root);
const manifest: {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
} = JSON.parse(textOf('package.json'));

/** A package of a lockfile, with what a test is about. */
function locked(name: string, entry: object = {}): Locked {
  const [one] = packagesOf({
    packages: { [`node_modules/${name}`]: { version: '1.0.0', license: 'MIT', integrity: 'sha512-x', ...entry } },
  });
  if (one === undefined) throw new Error('no package');
  return one;
}

describe('docs/dependencies.md', () => {
  const text = textOf('docs/dependencies.md');
  /** The rows of the table below a heading. */
  const rowsOf = (heading: string): string[][] =>
    (text.split(`## ${heading}\n`)[1] ?? '')
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split(' | ').map((cell) => cell.replaceAll(/^\| | \|$/g, '').trim())) ?? [];

  test.each([
    ['Of the service', manifest.dependencies],
    ['Of development', manifest.devDependencies],
  ])('%s: what package.json names, each with a reason and what was passed over', (heading, named) => {
    const rows = rowsOf(heading);
    expect(rows.map(([name]) => name)).toEqual(Object.keys(named).map((name) => `\`${name}\``));
    expect(rows.filter((cells) => cells.length !== 3 || cells.includes(''))).toEqual([]);
  });

  test('install scripts: what allowScripts says', () => {
    expect(rowsOf('Install scripts').map(([name, runs]) => [name, runs])).toEqual(
      Object.entries(manifest.allowScripts).map(([name, runs]) => [`\`${name}\``, runs ? 'yes' : 'no']),
    );
  });

  test('versions are exact', () => {
    const versions = Object.values({ ...manifest.dependencies, ...manifest.devDependencies });
    expect(versions.filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });
});

describe('install scripts', () => {
  test('all have been looked at', () => {
    expect(installScriptProblems(packages, manifest.allowScripts)).toEqual([]);
    expect(packages.filter(({ hasInstallScript }) => hasInstallScript).length).toBeGreaterThan(0);
  });

  test('one that has not is refused, and so is a name that is no longer needed', () => {
    const scripted = locked('a', { hasInstallScript: true });
    expect(installScriptProblems([scripted], {})).toEqual([expect.stringContaining('a@1.0.0 has an install script')]);
    expect(installScriptProblems([scripted], { a: false })).toEqual([]);
    expect(installScriptProblems([locked('a')], { a: true })).toEqual([expect.stringContaining('names a')]);
  });

  test('one below another package counts as well', () => {
    const below = locked('b/node_modules/@c/d', { hasInstallScript: true });
    expect(installScriptProblems([below], {})).toEqual([expect.stringContaining('@c/d@1.0.0')]);
  });

  test('npm is told to refuse too', () => {
    expect(textOf('.npmrc').split('\n')).toContain('strict-allow-scripts=true');
  });
});

describe('origin', () => {
  test('all come from the registry, with a digest', () => {
    expect(originProblems(packages)).toEqual([]);
    expect(originProblems(readLockfile(join(root, 'bench/peers/package-lock.json')))).toEqual([]);
  });

  test('others are refused', () => {
    expect(originProblems([locked('a', { integrity: undefined })])).toHaveLength(1);
    expect(originProblems([locked('a', { integrity: 'sha1-x' })])).toHaveLength(1);
    expect(originProblems([locked('a', { resolved: 'git+ssh://git@example.com/a.git#1' })])).toHaveLength(1);
    expect(originProblems([locked('a', { resolved: 'https://registry.npmjs.org/a/-/a-1.0.0.tgz' })])).toEqual([]);
  });
});

describe('licences', () => {
  test('all are allowed', () => {
    expect(licenceProblems(packages, shipped)).toEqual([]);
  });

  test.each([
    ['MIT', true],
    ['MIT OR GPL-3.0-only', true],
    ['GPL-3.0-only OR MIT', true],
    ['MIT AND Apache-2.0', true],
    ['MIT AND GPL-3.0-only', false],
    ['(GPL-3.0-only OR (MIT AND Apache-2.0))', true],
    ['GPL-2.0-only WITH Classpath-exception-2.0', false],
    ['Apache-2.0+', false],
    ['SEE LICENSE IN LICENSE.md', false],
    ['', false],
  ])('%p: %p', (expression, isAllowed) => {
    expect(allows(expression, ['MIT', 'Apache-2.0'])).toBe(isAllowed);
  });

  test('what is handed on has a shorter list than tools have', () => {
    const weak = locked('a', { license: 'MPL-2.0' });
    expect(licenceProblems([weak], [])).toEqual([]);
    expect(licenceProblems([weak], [weak])).toEqual([expect.stringContaining('handed on')]);
  });

  test('none named is refused', () => {
    expect(licenceProblems([locked('a', { license: undefined })], [])).toEqual(['a@1.0.0 names no licence']);
  });

  test('what the lockfile does not say stands in the package', async () => {
    const silent = packages.filter(({ licence }) => licence === undefined);
    for (const each of silent) {
      const { licenses } = JSON.parse(await readFile(join(root, each.path, 'package.json'), 'utf8'));
      expect([each.name, licenceOf(each)]).toEqual([each.name, licenses[0].type]);
    }
  });
});

describe('what is handed on', () => {
  test('is production, and what the page for operators is made of', () => {
    const names = new Set(shipped.map(({ name }) => name));
    expect(packages.filter((each) => !each.isDevelopment && !shipped.includes(each))).toEqual([]);
    for (const name of ['fastify', 'react', 'react-dom', 'scheduler', 'uplot', 'socket.io-client']) {
      expect([name, names.has(name)]).toEqual([name, true]);
    }
    for (const name of ['jest', 'typescript', 'vite', 'axe-core'])
      expect([name, names.has(name)]).toEqual([name, false]);
  });
});

describe('the bill of materials', () => {
  const bom = makeBom(root);

  test('is CycloneDX', async () => {
    expect(bom.specVersion).toBe('1.5');
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);
    expect(await validator.validate(JSON.stringify(bom))).toBeNull();
    const broken = JSON.stringify({ ...bom, components: [{ type: 'nonsense' }] });
    expect(await validator.validate(broken)).not.toBeNull();
  });

  test('names what is handed on, no more and no less, with digests and licences', () => {
    const named = bom.components.map((each) => each['bom-ref']);
    expect(new Set(named)).toEqual(new Set(shipped.map(idOf)));
    expect(bom.metadata.component).toMatchObject({ name: 'energex-cache', type: 'application' });
    const bare = bom.components.filter((each) => !('hashes' in each) || !('licenses' in each));
    // See `licences.ts`.
    expect(bare.map(({ name }) => name)).toEqual(['xmlhttprequest-ssl']);
  });

  test('says who needs whom', () => {
    const known = new Set([bom.metadata.component['bom-ref'], ...bom.components.map((each) => each['bom-ref'])]);
    const refs = bom.dependencies.flatMap(({ ref, dependsOn = [] }) => [ref, ...dependsOn]);
    expect(refs.filter((ref) => !known.has(ref))).toEqual([]);
    const own = bom.dependencies.find(({ ref }) => ref === bom.metadata.component['bom-ref']);
    const direct = Object.entries(manifest.dependencies).map(([name, version]) => `${name}@${version}`);
    expect(own?.dependsOn).toEqual(expect.arrayContaining(direct));
  });
});

describe('npm audit', () => {
  /** What the registry answers when it is asked; the npm that asks is the real one. */
  let advisories: object | undefined;
  let asked: unknown;
  let project: string;
  const registry = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (!request.url?.endsWith('/advisories/bulk') || advisories === undefined) {
        response.writeHead(405).end('{}');
        return;
      }
      const body = Buffer.concat(chunks);
      asked = JSON.parse((request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString());
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(advisories));
    });
  });

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'energex-audit-'));
    for (const path of ['package.json', 'package-lock.json', 'scripts/audit.ts', 'scripts/packages']) {
      await cp(join(root, path), join(project, path), { recursive: true });
    }
    await new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve));
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const { port } = registry.address() as AddressInfo;
    await writeFile(
      join(project, '.npmrc'),
      `registry=http://127.0.0.1:${port}/\nfetch-retries=0\nomit-lockfile-registry-resolved=true\ncache=${project}/cache\n`,
    );
  });
  afterAll(async () => {
    registry.closeAllConnections();
    await new Promise((resolve) => registry.close(resolve));
    await rm(project, { recursive: true });
  });

  /** Settings of npm that the test was started with are not those of this project. */
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)));
  const audit = async (): Promise<{ code: number; stdout: string }> => {
    try {
      return { code: 0, ...(await run(process.execPath, ['scripts/audit.ts'], { cwd: project, env })) };
    } catch (error) {
      return Object(error);
    }
  };

  test('without an answer it says so, and fails nothing', async () => {
    advisories = undefined;
    const { code, stdout } = await audit();
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^npm audit: NOT DONE, the registry did not answer \(.*405/),
    ]);
  }, 60_000);

  test('with nothing known it passes, and has asked for every package', async () => {
    advisories = {};
    expect(await audit()).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('0 packages with known weaknesses'),
    });
    expect(asked).toMatchObject({ fastify: [manifest.dependencies['fastify']] });
  }, 60_000);

  // npm remembers weaknesses by their ids.
  test.each([
    ['critical', 1, 1],
    ['high', 1, 2],
    ['moderate', 0, 3],
  ])(
    'a weakness that is %s ends with %p',
    async (severity, expected, id) => {
      const url = `https://example.com/${id}`;
      advisories = { fastify: [{ id, url, title: 'Weak', severity, vulnerable_versions: '*', cwe: [], cvss: {} }] };
      const { code, stdout } = await audit();
      expect([code, stdout]).toEqual([expected, expect.stringContaining(`${severity}: fastify`)]);
      expect(stdout).toContain(`Weak ${url}`);
    },
    60_000,
  );

  test('what is no answer of npm is none', () => {
    expect(verdictOn('', 'spawn npm ENOENT')).toEqual({
      lines: ['npm audit: NOT DONE, the registry did not answer (spawn npm ENOENT)'],
      isBad: false,
    });
  });
});
