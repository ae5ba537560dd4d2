import { beforeEach, expect, test } from '@jest/globals';
import { createdAt, identifier, text } from '../../src/resources/columns.ts';
import { defineResource } from '../../src/resources/resource.ts';
import { describeService, insertPost } from '../harness/stage.ts';

/** Over a table that is there and a column that is not: every statement fails in a way that nobody foresaw. */
const ghosts = defineResource({
  name: 'ghosts',
  item: 'ghost',
  table: 'posts',
  columns: { id: identifier(), ghost_column: text({ maxCharacters: 10 }), created_at: createdAt() },
  events: { created: 'new_ghost', updated: 'ghost_updated', deleted: 'ghost_deleted' },
  ttl: { list: 1_000, item: 1_000, absent: 1_000 },
});

const lines: string[] = [];
const log = { write: (line: string): void => void lines.push(line) };
const logging = { LOG_REQUESTS: 'true' };

type Logged = {
  readonly level: number;
  readonly reqId?: string;
  readonly msg: string;
  readonly [other: string]: unknown;
};

function logged(): Logged[] {
  return lines.map((line): Logged => JSON.parse(line));
}

describeService('faults of the service itself', { resources: [ghosts], log, environment: logging }, (given) => {
  beforeEach(() => insertPost(given.database, { id: 1 }));

  test.each([
    ['GET', '/cache/ghosts', undefined],
    ['GET', '/cache/ghosts?limit=3', undefined],
    ['GET', '/cache/ghosts/1', undefined],
    ['POST', '/cache/ghosts', { ghost_column: 'boo' }],
    ['PUT', '/cache/ghosts/1', { ghost_column: 'boo' }],
    ['DELETE', '/cache/ghosts/1', undefined],
  ])(
    '%s %s is 500: a problem that tells nothing, and a log entry that tells all under the same id',
    async (method, path, body) => {
      lines.length = 0;
      const reply = await given.service.request(method, path, body);
      expect(reply.status).toBe(500);
      expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
      expect(reply.headers.get('retry-after')).toBeNull();
      expect(reply.json).toEqual({
        type: 'urn:energex:error:internal',
        title: 'Internal Server Error',
        status: 500,
        code: 'INTERNAL',
        message: 'Internal server error',
        detail: 'Internal server error',
        requestId: expect.any(String),
      });
      const failures = logged().filter(({ msg }) => msg === 'request failed');
      expect(failures).toEqual([
        expect.objectContaining({
          level: 50,
          reqId: reply.json.requestId,
          err: expect.objectContaining({
            message: expect.stringMatching(/ghost_column/),
            stack: expect.stringMatching(/\.ts:\d+/),
          }),
        }),
      ]);
    },
  );

  test('a fault is not cached, and the next request is served', async () => {
    const statuses = [
      (await given.service.get('/cache/ghosts/1')).status,
      (await given.service.get('/cache/ghosts/1')).status,
      (await given.service.get('/cache/health')).status,
    ];
    expect(statuses).toEqual([500, 500, 200]);
  });

  test('each request is one line of the log: the pattern of the route, no URL, no id, no body', async () => {
    lines.length = 0;
    await given.service.get('/cache/ghosts/4711?token=hidden');
    await given.service.get('/nowhere/4711?token=hidden');
    const requests = logged().filter(({ msg }) => msg === 'request');
    expect(requests).toMatchObject([
      { level: 30, method: 'GET', route: '/cache/ghosts/:id', status: 500, durationMs: expect.any(Number) },
      { level: 30, method: 'GET', route: 'none', status: 404 },
    ]);
    expect(lines.filter((line) => line.includes('"request"')).join('')).not.toMatch(/4711|hidden/);
  });
});

describeService('the log of requests', { log, environment: logging }, (given) => {
  test('says what the cache did', async () => {
    await insertPost(given.database, { id: 1 });
    lines.length = 0;
    for (const path of ['/cache/posts/1', '/cache/posts/1', '/cache/posts/7']) await given.service.get(path);
    await given.service.request('PUT', '/cache/posts/1', { title: 'x' });
    const requests = logged().filter(({ msg }) => msg === 'request');
    expect(requests.map(({ status, cache }) => [status, cache])).toEqual([
      [200, 'loaded'],
      [200, 'hit'],
      [404, 'loaded'],
      [200, undefined],
    ]);
  });

  test('LOG_REQUESTS=false: no line per request', async () => {
    const service = await given.stage.beside({ log, environment: { LOG_REQUESTS: 'false' } });
    lines.length = 0;
    expect((await service.get('/cache/posts')).status).toBe(200);
    expect(lines).toEqual([]);
  });
});
