import { describe, expect, test } from '@jest/globals';
import { checkAnswer } from './openapi-check.ts';

const json = 'application/json; charset=utf-8';
const read = { etag: '"x"', 'cache-status': 'EnergeX; hit; ttl=1', 'cache-control': 'no-cache', 'content-type': json };
const list = JSON.stringify({ data: [], source: 'cache', timestamp: '2025-01-01T00:00:00.000Z' });

function check(method: string, path: string, status: number, headers: Record<string, string>, text: string): void {
  checkAnswer(undefined, method, path, { status, headers: new Headers(headers), text });
}

test('an answer as the document has it passes', () => {
  check('GET', '/cache/posts?limit=5', 200, read, list);
  check('GET', '/cache/posts/', 200, { ...read, link: '</x>; rel="next"' }, list);
  check('HEAD', '/cache/posts', 200, read, '');
  check('OPTIONS', '/cache/posts', 204, { allow: 'GET' }, '');
  check('GET', '/docs/static/index.css', 200, { 'content-type': 'text/css' }, 'body {}');
});

describe('refused are', () => {
  test.each([
    ['an unknown status', () => check('GET', '/cache/posts', 202, read, list), /202 is not in the OpenAPI document/],
    ['an unknown path', () => check('GET', '/cache/secrets', 200, read, list), /knows nothing/],
    ['an unknown method', () => check('PUT', '/cache/posts', 200, read, list), /knows nothing/],
    ['a header too many', () => check('GET', '/cache/posts', 200, { ...read, location: '/' }, list), /has Location/],
    ['a header too few', () => check('GET', '/cache/posts', 200, { 'content-type': json }, list), /has no ETag/],
    ['a body where none belongs', () => check('GET', '/cache/posts', 304, read, list), /has a body/],
    [
      'another media type',
      () => check('GET', '/cache/posts', 200, { ...read, 'content-type': 'text/html' }, ''),
      /text\/html/,
    ],
    [
      'another body',
      () => check('GET', '/cache/posts', 200, read, '{"data":[]}'),
      /must have required property 'source'/,
    ],
    [
      'a problem that is none',
      () => check('GET', '/cache/posts/1', 404, { 'content-type': 'application/problem+json' }, '{"code":"GONE"}'),
      /must have required property 'type'/,
    ],
  ])('%s', (_, act, message) => {
    expect(act).toThrow(message);
  });
});
