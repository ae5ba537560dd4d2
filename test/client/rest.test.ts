import { describe, expect, test } from '@jest/globals';
import type { CacheProblem } from '../../client/src/client.ts';
import { Rest } from '../../client/src/rest.ts';
import { ManualTiming, settle } from './manual-timing.ts';

type Asked = { readonly url: string; readonly init: RequestInit };

function open(answer: (asked: Asked) => Promise<Response> | Response, limits = { mostEntries: 2, mostBytes: 1_000 }) {
  const timing = new ManualTiming();
  const asked: Asked[] = [];
  const rest = new Rest({
    url: 'http://service',
    timing,
    ...limits,
    fetch: async (input, init = {}) => {
      const request = { url: new Request(input).url, init };
      asked.push(request);
      return answer(request);
    },
  });
  const tags = (): (string | null)[] => asked.map(({ init }) => new Headers(init.headers).get('if-none-match'));
  return { rest, timing, asked, tags };
}

const ok = (data: unknown, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify({ data }), { headers });

const problemOf = (reading: Promise<unknown>): Promise<CacheProblem> =>
  reading.then(
    () => Promise.reject(new Error('it was answered')),
    (problem) => problem,
  );

describe('a read', () => {
  test('is conditional when it was answered before, and what has not changed is told from memory', async () => {
    const { rest, tags } = open(({ init }) =>
      new Headers(init.headers).has('if-none-match')
        ? new Response(null, { status: 304 })
        : ok([1], { etag: '"x"', link: '</a?after=z>; rel="next"' }),
    );
    const answer = { data: [1], hasMore: true };
    expect(await rest.read('/a')).toMatchObject(answer);
    expect(await rest.read('/a')).toMatchObject(answer);
    expect(tags()).toEqual([null, '"x"']);
  });

  test('joins an equal one of the same turn, and never a later one', async () => {
    const { rest, asked } = open(() => ok(asked.length));
    const [one, two] = await Promise.all([rest.read('/a'), rest.read('/a')]);
    expect([one.data, two.data, asked.length]).toEqual([1, 1, 1]);
    const early = rest.read('/a');
    await settle();
    const late = rest.read('/a');
    expect([(await early).data, (await late).data]).toEqual([2, 3]);
  });

  test('keeps so many answers and so many bytes, those that were used last', async () => {
    const { rest, tags } = open(({ url }) => ok('x'.repeat(url.endsWith('large') ? 400 : 1), { etag: `"${url}"` }));
    for (const path of ['/a', '/b', '/a', '/c', '/a', '/b']) await rest.read(path);
    expect(tags().map((tag) => tag?.at(-2))).toEqual([undefined, undefined, 'a', undefined, 'a', undefined]);
    // Two of these are more bytes than may be kept.
    for (const path of ['/1-large', '/2-large', '/2-large', '/1-large']) await rest.read(path);
    expect(
      tags()
        .slice(-4)
        .map((tag) => tag?.slice(-9)),
    ).toEqual([undefined, undefined, '/2-large"', undefined]);
  });

  test('is given up after a while', async () => {
    const { rest, timing } = open(
      ({ init }) => new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(new Error('gone')))),
    );
    const problem = problemOf(rest.read('/a'));
    await settle();
    await timing.advance(15_000);
    expect(await problem).toMatchObject({ status: 0, code: 'UNREACHABLE', isTemporary: true });
    expect(timing.waiting).toBe(0);
  });
});

describe('a problem', () => {
  test.each([
    [
      400,
      { code: 'INVALID_ID', message: 'Invalid post ID' },
      {},
      { code: 'INVALID_ID', isTemporary: false, fields: [] },
    ],
    [404, { code: 'NOT_FOUND', message: 'Post not found' }, {}, { isAbsence: true, message: 'Post not found' }],
    [404, 'no such page', {}, { isAbsence: false, code: 'UNEXPECTED', message: 'the service answered 404' }],
    [503, { code: 'DATABASE_BUSY' }, { 'retry-after': '7' }, { isTemporary: true, retryAfterMs: 7_000 }],
    [503, {}, { 'retry-after': '999999' }, { retryAfterMs: 60_000 }],
    [429, {}, { 'retry-after': 'Mon, 01 Jan 2035 00:00:00 GMT' }, { isTemporary: true, retryAfterMs: undefined }],
    [422, { errors: [{ field: 'a', message: 'b' }, 7] }, {}, { fields: [{ field: 'a', message: 'b' }] }],
  ])('%d %j says what it is', async (status, body, headers, expected) => {
    const { rest } = open(() => new Response(JSON.stringify(body), { status, headers }));
    const problem = await problemOf(rest.read('/a'));
    expect(problem).toMatchObject({ status, name: 'CacheProblem', ...expected });
  });

  test.each([
    ['no answer', () => Promise.reject(new TypeError('fetch failed')), 'UNREACHABLE'],
    ['an answer that is no JSON', () => new Response('<html>'), 'UNEXPECTED'],
  ])('%s is one too', async (_, answer, code) => {
    expect(await problemOf(open(answer).rest.read('/a'))).toMatchObject({ status: 0, code });
  });
});

describe('a write', () => {
  test('is sent once, as JSON', async () => {
    const { rest, asked } = open(() => ok({ id: 1 }));
    expect(await rest.write('PUT', '/a', { title: 't' }, { 'idempotency-key': 'k' })).toEqual({ data: { id: 1 } });
    expect(asked.map(({ url, init: { method, body, headers } }) => ({ url, method, body, headers }))).toEqual([
      {
        url: 'http://service/a',
        method: 'PUT',
        body: '{"title":"t"}',
        headers: { accept: 'application/json', 'content-type': 'application/json', 'idempotency-key': 'k' },
      },
    ]);
  });

  test('that fails is not tried again', async () => {
    const { rest, asked } = open(() => new Response('{}', { status: 503 }));
    expect(await problemOf(rest.write('POST', '/a', {}, {}))).toMatchObject({ status: 503 });
    expect(asked.length).toBe(1);
  });
});

test('nothing is asked once it is closed, and what is under way ends', async () => {
  const { rest, asked, timing } = open(
    ({ init }) => new Promise((_, reject) => init.signal?.addEventListener('abort', () => reject(new Error('gone')))),
  );
  const problem = problemOf(rest.read('/a'));
  await settle();
  rest.close();
  expect(await problem).toMatchObject({ code: 'CLOSED', isTemporary: false });
  expect(await problemOf(rest.read('/a'))).toMatchObject({ code: 'CLOSED' });
  expect([asked.length, timing.waiting]).toEqual([1, 0]);
});
