import { expect, test } from '@jest/globals';
import { eventually, type Reply } from '../harness/service.ts';
import { describeService, insertPost, serverStages, standardPost } from '../harness/stage.ts';

/** What clients are told while MySQL or Redis is away. That nothing stale is served then is shown elsewhere. */

const environment = {
  DB_CONNECT_TIMEOUT_MS: '1000',
  DB_ACQUIRE_TIMEOUT_MS: '700',
  DB_STATEMENT_TIMEOUT_MS: '500',
  REDIS_TIMEOUT_MS: '300',
  REDIS_BULK_TIMEOUT_MS: '300',
};
const valid = { title: 't', content: 'c', user_id: 1 };

function expectRetryLater(reply: Reply): void {
  expect(reply.status).toBe(503);
  expect(reply.headers.get('retry-after')).toBe('1');
  expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect(['DATABASE_UNAVAILABLE', 'DATABASE_BUSY']).toContain(reply.json.code);
  expect(reply.json.message).toMatch(/^The database (cannot be reached|is busy); try again shortly$/);
  expect(reply.text).not.toMatch(/ECONN|127\.0\.0\.1|SELECT|posts|\.ts|stack/i);
}

async function timed(ask: () => Promise<Reply>): Promise<{ reply: Reply; tookMs: number }> {
  const began = performance.now();
  return { reply: await ask(), tookMs: performance.now() - began };
}

describeService('outages', { on: serverStages }, (given) => {
  test.each(['refuse', 'blackHole'] as const)(
    'MySQL away (%s): what is cached is served and revalidated, the rest is 503 in time; then all is well again',
    async (fault) => {
      await insertPost(given.database, { id: 1 });
      const { service, toDatabase } = await given.stage.behindProxies({ environment });
      const { headers } = await service.get('/cache/posts/1');
      await toDatabase[fault]();

      const cached = await service.get('/cache/posts/1');
      expect([cached.status, cached.json.source]).toEqual([200, 'cache']);
      const etag = headers.get('etag') ?? '';
      expect((await service.get('/cache/posts/1', { 'if-none-match': etag })).status).toBe(304);

      const asked = await Promise.all([
        timed(() => service.get('/cache/posts')),
        timed(() => service.get('/cache/posts/2')),
        timed(() => service.request('POST', '/cache/posts', valid)),
        timed(() => service.request('POST', '/cache/posts', valid, { 'idempotency-key': 'key-1' })),
        timed(() => service.request('PUT', '/cache/posts/1', { title: 'new' })),
        timed(() => service.request('DELETE', '/cache/posts/1', { user_id: 1 })),
      ]);
      for (const { reply, tookMs } of asked) {
        expectRetryLater(reply);
        expect(tookMs).toBeLessThan(5_000);
      }
      expect((await service.get('/cache/posts/1')).json.source).toBe('cache');

      await toDatabase.restore();
      await eventually(async () => (await service.get('/cache/posts')).status === 200);
      expect((await service.get('/cache/posts')).json.data).toEqual([standardPost(1)]);
      expect((await service.request('POST', '/cache/posts', valid, { 'idempotency-key': 'key-1' })).status).toBe(201);
    },
  );

  test.each([
    ['mysql', 'refuse'],
    ['mysql', 'blackHole'],
    ['redis', 'refuse'],
    ['redis', 'blackHole'],
  ] as const)(
    'health with %s away (%s): 503 within 2 s, the unhealthy part named; then 200 again',
    async (part, fault) => {
      // The standard deadlines: health has one of its own.
      const standard = {
        DB_CONNECT_TIMEOUT_MS: '2000',
        DB_ACQUIRE_TIMEOUT_MS: '2500',
        REDIS_TIMEOUT_MS: '100',
        REDIS_BULK_TIMEOUT_MS: '1000',
      };
      const { service, toRedis, toDatabase } = await given.stage.behindProxies({ environment: standard });
      const proxy = part === 'mysql' ? toDatabase : toRedis;
      await proxy[fault]();
      for (let turn = 0; turn < 3; turn += 1) {
        const { reply, tookMs } = await timed(() => service.get('/cache/health'));
        expect(tookMs).toBeLessThan(2_000);
        expect(reply.status).toBe(503);
        expect(reply.json).toEqual({
          status: 'error',
          timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
          services: { redis: 'healthy', mysql: 'healthy', [part]: 'unhealthy' },
        });
      }
      await proxy.restore();
      await eventually(async () => (await service.get('/cache/health')).status === 200);
    },
  );

  test('both away: both are named, within 2 s', async () => {
    const { service, toRedis, toDatabase } = await given.stage.behindProxies({ environment });
    toRedis.blackHole();
    toDatabase.blackHole();
    const { reply, tookMs } = await timed(() => service.get('/cache/health'));
    expect([reply.status, reply.json.services]).toEqual([503, { redis: 'unhealthy', mysql: 'unhealthy' }]);
    expect(tookMs).toBeLessThan(2_000);
  });

  test('Redis away: reads and writes go on, as if nothing were cached', async () => {
    await insertPost(given.database, { id: 1 });
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    await service.get('/cache/posts/1');
    await toRedis.refuse();
    expect((await service.request('PUT', '/cache/posts/1', { title: 'new' })).status).toBe(200);
    expect((await service.get('/cache/posts/1')).json).toMatchObject({ data: { title: 'new' }, source: 'database' });
    expect((await service.request('POST', '/cache/posts', valid)).status).toBe(201);
    expect((await service.get('/cache/posts')).json.data).toHaveLength(2);
    expect((await service.request('DELETE', '/cache/posts/1', { user_id: 1 })).status).toBe(200);
    expect((await service.get('/cache/posts/1')).status).toBe(404);
  });

  test('Redis away and WRITE_WITHOUT_CACHE=reject: reads go on, writes are 503 and change nothing', async () => {
    await insertPost(given.database, { id: 1 });
    const { service, toRedis } = await given.stage.behindProxies({
      environment: { ...environment, WRITE_WITHOUT_CACHE: 'reject' },
    });
    await toRedis.refuse();
    for (const reply of [
      await service.request('PUT', '/cache/posts/1', { title: 'new' }),
      await service.request('POST', '/cache/posts', valid),
      await service.request('DELETE', '/cache/posts/1', { user_id: 1 }),
    ]) {
      expect([reply.status, reply.json.code, reply.headers.get('retry-after')]).toEqual([
        503,
        'CACHE_UNREACHABLE',
        '1',
      ]);
      expect(reply.json.message).toBe(
        'The cache cannot be reached and writes without it are refused; try again shortly',
      );
    }
    expect((await service.get('/cache/posts')).json.data).toEqual([standardPost(1)]);
  });
});

describeService('health', {}, (given) => {
  test('200 with exactly these members while both parts answer; never stored by anyone', async () => {
    const reply = await given.service.get('/cache/health');
    expect(reply.status).toBe(200);
    expect(reply.headers.get('cache-control')).toBe('no-store');
    expect(reply.json).toEqual({
      status: 'ok',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      services: { redis: 'healthy', mysql: 'healthy' },
    });
  });
});
