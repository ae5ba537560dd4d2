import { describe, expect, test } from '@jest/globals';
import { keyOfUrl } from '../../src/commands/key-of-url.ts';
import { encodeCursor } from '../../src/resources/cursor.ts';
import { resources } from '../../src/resources/registry.ts';

/** Which key a URL reads, told by the routes themselves. */

const cursor = encodeCursor({ createdAt: '2025-01-01 00:00:00', id: '7' });

describe('a URL reads', () => {
  test.each<[string, string, string[]]>([
    ['/cache/posts', 'posts:all', []],
    ['/cache/posts/', 'posts:all', []],
    ['/cache/posts?', 'posts:all', []],
    ['/cache/posts?utm=1&x', 'posts:all', ['utm', 'x']],
    ['/cache/posts/42', 'post:42', []],
    ['/cache/posts/42?limit=1#top', 'post:42', ['limit']],
    ['http://localhost:4000/cache/posts?limit=5', 'posts:all#limit=5', []],
    ['https://cache.example.com/cache/posts?limit=100&x=1', 'posts:all#limit=100', ['x']],
    [`/cache/posts?after=${cursor}`, `posts:all#limit=20&after=${cursor}`, []],
    [`/cache/posts?after=${cursor}&limit=3`, `posts:all#limit=3&after=${cursor}`, []],
    ['/cache/posts/18446744073709551615', 'post:18446744073709551615', []],
  ])('%s: %s', async (url, key, ignored) => {
    expect(await keyOfUrl(url, resources)).toMatchObject({ key, ignored, refusal: undefined });
  });

  test.each<[string, number, string]>([
    ['/cache/posts/0', 400, 'INVALID_ID'],
    ['/cache/posts/1.5', 400, 'INVALID_ID'],
    ['/cache/posts/18446744073709551616', 400, 'INVALID_ID'],
    ['/cache/posts?limit=0', 400, 'INVALID_PARAMETER'],
    ['/cache/posts?limit=101', 400, 'INVALID_PARAMETER'],
    ['/cache/posts?limit=1&limit=2', 400, 'INVALID_PARAMETER'],
    ['/cache/posts?after=none', 400, 'INVALID_PARAMETER'],
    ['/cache/posts/%zz', 400, 'BAD_REQUEST'],
    ['/cache/comments', 404, 'ROUTE_NOT_FOUND'],
    ['http://localhost:4000', 404, 'ROUTE_NOT_FOUND'],
  ])('%s: none, it is answered %i %s', async (url, status, code) => {
    expect(await keyOfUrl(url, resources)).toMatchObject({ key: undefined, refusal: { status, code } });
  });
});
