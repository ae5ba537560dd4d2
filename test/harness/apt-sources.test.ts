import { expect, test } from '@jest/globals';
import { parseLines, parseStanzas } from './apt-sources.ts';

test('reads deb822 stanzas: comments inside, several suites, disabled ones left out', () => {
  const text = [
    'Types: deb deb-src',
    '# a remark in between',
    'URIs: http://mirror.example/debian',
    'Suites: bookworm bookworm-updates',
    'Components: main contrib',
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg',
    '',
    'Enabled: no',
    'Types: deb',
    'URIs: http://off.example/debian',
    'Suites: bookworm',
    'Components: main',
    '',
    'Types: deb-src',
    'URIs: http://sources.example/debian',
    'Suites: bookworm',
    'Components: main',
  ].join('\n');
  expect(parseStanzas(text)).toEqual([
    {
      uri: 'http://mirror.example/debian',
      signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main', 'contrib'],
    },
  ]);
});

test('keeps a key that stands in the stanza itself, line by line', () => {
  const key = '\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----';
  const [source] = parseStanzas(
    `Types: deb\nURIs: http://m.example/\nSuites: sid\nComponents: main\nSigned-By:${key}\n`,
  );
  expect(source?.signedBy).toBe(key);
});

test('reads one-line sources with and without options', () => {
  const text = [
    '# deb http://off.example/debian bookworm main',
    'deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror.example/debian bookworm main contrib # remark',
    'deb-src http://mirror.example/debian bookworm main',
    'deb http://plain.example/debian bookworm main',
  ].join('\n');
  expect(parseLines(text)).toEqual([
    {
      uri: 'http://mirror.example/debian',
      signedBy: '/keys/a.gpg',
      suites: ['bookworm'],
      components: ['main', 'contrib'],
    },
    { uri: 'http://plain.example/debian', signedBy: undefined, suites: ['bookworm'], components: ['main'] },
  ]);
});
