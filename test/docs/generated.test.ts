import { describe, expect, test } from '@jest/globals';
import { isSecret, settingNames } from '../../scripts/docs/configuration.ts';
import { errorCodes } from '../../scripts/docs/errors.ts';
import { generatedFiles, regenerate } from '../../scripts/docs/generated.ts';
import { replaceSection, table } from '../../scripts/docs/sections.ts';
import { documents, filesBelow, inlineCode, textOf } from './documents.ts';

describe('generated parts of the documents', () => {
  test.each(generatedFiles)('%s says what the code says (else: npm run docs)', (file) => {
    const { current, wanted } = regenerate(file);
    expect(current).toBe(wanted);
  });

  test('a section is replaced between its marks, and nothing else', () => {
    const document = 'a\n<!-- x -->\nold\n<!-- /x -->\nb\n';
    expect(replaceSection(document, 'x', 'new\n')).toBe('a\n<!-- x -->\nnew\n<!-- /x -->\nb\n');
    expect(replaceSection(replaceSection(document, 'x', 'new'), 'x', 'old')).toBe(document);
  });

  test.each([
    ['are missing', 'a'],
    ['are the wrong way round', '<!-- /x --> <!-- x -->'],
    ['are there twice', '<!-- x --> <!-- /x --> <!-- x --> <!-- /x -->'],
  ])('marks that %s are refused', (_, document) => {
    expect(() => replaceSection(document, 'x', 'new')).toThrow('must be there once');
  });

  test('a bar in a cell does not end the cell', () => {
    expect(table(['a'], [['b|c']])).toBe('| a |\n| --- |\n| b\\|c |');
  });
});

describe('settings', () => {
  const known = new Set<string>([
    ...settingNames(),
    ...settingNames()
      .filter(isSecret)
      .map((name) => `${name}_FILE`),
    ...errorCodes(),
    // Stands for the name of any secret.
    'NAME_FILE',
  ]);
  /** Known to everybody, or set by the test runner itself. */
  const notOurs = new Set(['PATH', 'XDG_CACHE_HOME', 'JEST_WORKER_ID']);
  const ofTheTests = new Set(
    filesBelow('test', '.ts')
      .flatMap((file) => Array.from(textOf(file).matchAll(/process\.env\['([A-Z_]+)'\]|\b(TEST_[A-Z]+_URL)\b/g)))
      .map(([, read, url]) => read ?? url ?? '')
      .filter((name) => !notOurs.has(name)),
  );

  /** Arguments of the image, which are no settings of the service. */
  const ofTheImage = new Set(Array.from(textOf('Dockerfile').matchAll(/^ARG ([A-Z_]+)/gm), ([, name]) => name));

  test.each(documents.map(({ file }) => file))('%s names no setting or error code that does not exist', (file) => {
    const names = inlineCode(textOf(file)).flatMap((code) => code.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? []);
    expect(names.filter((name) => ![known, ofTheTests, ofTheImage].some((each) => each.has(name)))).toEqual([]);
  });

  test('the variables that the tests read stand in CONTRIBUTING, those that tell where servers are in the README', () => {
    const names = [...ofTheTests];
    expect(names.filter((name) => !inlineCode(textOf('CONTRIBUTING.md')).includes(name))).toEqual([]);
    const urls = names.filter((name) => name.endsWith('_URL'));
    expect(urls.length).toBeGreaterThan(0);
    expect(urls.filter((name) => !inlineCode(textOf('README.md')).includes(name))).toEqual([]);
  });

  test('src/config.ts alone reads the environment', () => {
    const readers = filesBelow('src', '.ts').filter((file) => textOf(file).includes('process.env'));
    expect(readers).toEqual(['src/config.ts']);
  });
});
