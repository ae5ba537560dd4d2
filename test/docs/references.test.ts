import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { root } from '../../scripts/docs/generated.ts';
import { documents, fencedBlocks, filesBelow, inlineCode, textOf } from './documents.ts';

const folders = ['src', 'client/src', 'lua', 'migrations', 'test', 'docs', 'scripts', '.ci'];

/** Tokens that look like a path of the project. A placeholder such as `NNNN-comments.sql` or `...` is none. */
function pathsIn(code: string): string[] {
  return code
    .split(/\s+/)
    .filter((token) => folders.some((folder) => token.startsWith(`${folder}/`)))
    .filter((token) => !/NNNN|comments|\.\.\./.test(token));
}

describe('files and folders', () => {
  test.each(documents.map(({ file }) => file))('%s names none that does not exist', (file) => {
    const text = textOf(file);
    const named = [...inlineCode(text), ...fencedBlocks(text, 'text')].flatMap(pathsIn);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  test('ARCHITECTURE.md leaves out no file of src/, client/src/ and lua/', () => {
    const named = new Set(fencedBlocks(textOf('ARCHITECTURE.md'), 'text').flatMap(pathsIn));
    const there = [...filesBelow('src', '.ts'), ...filesBelow('client/src', '.ts'), ...filesBelow('lua', '.lua')];
    expect(there.filter((file) => !named.has(file))).toEqual([]);
  });

  test('documents that comments of src/ and lua/ refer to exist', () => {
    const sources = [...filesBelow('src', '.ts'), ...filesBelow('lua', '.lua')];
    const named = sources.flatMap((file) => textOf(file).match(/\bdocs\/[\w-]+\.md\b/g) ?? []);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

describe('links', () => {
  test.each(documents.map(({ file }) => file))('those of %s to files and headings resolve', (file) => {
    const broken = linksOf(textOf(file)).filter((link) => !resolves(file, link));
    expect(broken).toEqual([]);
  });

  function linksOf(text: string): string[] {
    const prose = text.replaceAll(/^```.*?^```$/gms, '');
    const all = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target ?? '');
    return all.filter((target) => !/^https?:/.test(target));
  }

  function resolves(from: string, link: string): boolean {
    const [path = '', anchor] = link.split('#');
    const target = path === '' ? from : join(dirname(from), path);
    if (!existsSync(join(root, target))) return false;
    return anchor === undefined || anchorsOf(textOf(target)).includes(anchor);
  }

  /** As GitHub makes them of headings. */
  function anchorsOf(text: string): string[] {
    const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading ?? '');
    return headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );
  }
});

describe('npm scripts', () => {
  const manifest: { readonly scripts: Readonly<Record<string, string>> } = JSON.parse(textOf('package.json'));
  const scripts = Object.keys(manifest.scripts).filter((name) => !/^(pre|post)/.test(name) && name !== 'prepare');
  /** `npm run x`, and those that npm runs without `run`. */
  const named = (text: string): string[] =>
    [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short ?? '');

  test.each(documents.map(({ file }) => file))('%s names none that package.json has not', (file) => {
    expect(named(textOf(file)).filter((name) => !(name in manifest.scripts))).toEqual([]);
  });

  test('the README leaves out none', () => {
    const inReadme = new Set(named(textOf('README.md')));
    expect(scripts.filter((name) => !inReadme.has(name))).toEqual([]);
  });
});
