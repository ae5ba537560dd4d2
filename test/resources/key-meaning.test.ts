import { expect, test } from '@jest/globals';
import { invalidationOf, keyForms, type KeyMeaning, meaningOfKey, wholeTtl } from '../../src/resources/key-meaning.ts';
import { posts } from '../../src/resources/posts/posts.ts';

test.each<[string, Record<string, unknown>]>([
  ['post:42', { kind: 'row', id: '42', name: 'post:42' }],
  ['post:18446744073709551615', { kind: 'row', id: '18446744073709551615' }],
  ['posts:all', { kind: 'list', name: 'posts:all' }],
  ['posts:all#limit=20', { kind: 'page', name: 'posts:all', part: 'limit=20' }],
  ['posts:rows:0', { kind: 'segment', number: 0n }],
  ['posts:rows:79', { kind: 'segment', number: 79n }],
])('%s', (key, expected) => {
  expect(meaningOfKey(key, [posts])).toMatchObject({ resource: posts, ...expected });
});

test.each(['post:0', 'post:', 'post:x', 'post:1#x', 'posts:rows:01', 'posts:rows:', 'posts', 'comment:1', ''])(
  '"%s" is no key',
  (key) => {
    expect(meaningOfKey(key, [posts])).toBeUndefined();
  },
);

test('every form of a key is one', () => {
  const kinds = keyForms([posts]).map((key) => meaningOfKey(key, [posts])?.kind);
  expect(kinds).toEqual(['row', 'list', 'page', 'segment']);
});

const meant = (key: string): KeyMeaning => {
  const meaning = meaningOfKey(key, [posts]);
  if (meaning === undefined) throw new Error(`${key} is no key`);
  return meaning;
};

test.each<[string, readonly string[], readonly string[]]>([
  ['post:200', [], ['post:200', 'posts:rows:1', 'posts:all']],
  ['posts:rows:3', [], ['posts:rows:3', 'posts:all']],
  ['posts:all', ['posts:rows:'], ['posts:all']],
  ['posts:all#limit=20', ['posts:rows:'], ['posts:all']],
])('with %s goes whatever shows what is under it', (key, prefixes, names) => {
  expect(invalidationOf(meant(key))).toEqual({ prefixes, names });
});

test('a row, that there is none, and a list live for the times that the resource says', () => {
  const { item, absent, list } = posts.ttl;
  const times = [
    wholeTtl(meant('post:1'), false),
    wholeTtl(meant('post:1'), true),
    wholeTtl(meant('posts:all'), false),
  ];
  expect(times).toEqual([item, absent, list]);
});
