import { expect, test } from '@jest/globals';
import { published } from '../harness/engine.ts';
import { openRedisStore, trusted } from '../harness/redis-store.ts';
import { exchange } from '../harness/raw-http.ts';
import { eventually, type Reply } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';

function statusOf(reply: Reply): string | null {
  return reply.headers.get('cache-status');
}

/**
 * Requests that arrive in one piece on one connection, so that the service begins them in the same turn; each says that it
 * has a body, so that none takes the fast lane.
 */
function pipelined(count: number, path: string): string {
  const last = count - 1;
  return Array.from(
    { length: count },
    (_, index) =>
      `GET ${path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n${index === last ? 'Connection: close\r\n' : ''}\r\n`,
  ).join('');
}

describeService('Cache-Status and loads', {}, (given) => {
  test.each([
    ['/cache/posts', 300],
    ['/cache/posts?limit=2', 300],
    ['/cache/posts/1', 600],
  ])('%s: stored on a miss, then a hit with the seconds it has left', async (path, ttlSeconds) => {
    await insertPost(given.database, { id: 1 });
    expect(statusOf(await given.service.get(path))).toBe('EnergeX; fwd=uri-miss; stored');
    const hit = /^EnergeX; hit; ttl=(\d+)$/.exec(statusOf(await given.service.get(path)) ?? '');
    // The jitter takes up to a tenth, the test itself some seconds.
    expect(Number(hit?.[1])).toBeGreaterThan(ttlSeconds * 0.9 - 15);
    expect(Number(hit?.[1])).toBeLessThanOrEqual(ttlSeconds);
  });

  test('a path with a slash at its end is the same key', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts');
    await given.service.get('/cache/posts/1');
    expect((await given.service.get('/cache/posts/')).json.source).toBe('cache');
    expect((await given.service.get('/cache/posts/1/')).json.source).toBe('cache');
  });

  test('many clients ask for one cold key: one load', async () => {
    await insertPost(given.database, { id: 1 });
    let replies: Reply[] = [];
    const events = await published(async () => {
      replies = await Promise.all(Array.from({ length: 60 }, () => given.service.get('/cache/posts')));
    });
    expect(events.filter(({ type }) => type === 'miss')).toEqual([{ type: 'miss', key: 'posts:all' }]);
    expect(events.filter(({ type }) => type === 'fill' || type === 'bypass')).toHaveLength(1);
    for (const { json } of replies) expect(json.data.map(({ id }: { id: number }) => id)).toEqual([1]);
    expect(replies.filter((reply) => statusOf(reply) === 'EnergeX; fwd=uri-miss; stored')).toHaveLength(1);
    expect(replies.filter(({ json }) => json.source === 'cache').length).toBeGreaterThan(0);
  });

  test('requests of the same moment share the load: one stored, the others collapsed, all from the database', async () => {
    await insertPost(given.database, { id: 1 });
    let replies: Awaited<ReturnType<typeof exchange>> = [];
    const events = await published(async () => {
      replies = await exchange(given.service.port, pipelined(20, '/cache/posts/1'));
    });
    expect(replies.map(({ headers }) => headers.get('cache-status'))).toEqual([
      'EnergeX; fwd=uri-miss; stored',
      ...Array.from({ length: 19 }, () => 'EnergeX; fwd=uri-miss; collapsed'),
    ]);
    for (const { body } of replies) expect(JSON.parse(body)).toMatchObject({ data: { id: 1 }, source: 'database' });
    const types = events.map(({ type }) => type);
    expect(types.filter((type) => type !== 'collapsed')).toEqual(['miss', 'fill']);
    expect(types.filter((type) => type === 'collapsed')).toHaveLength(19);
  });

  test('requests of the same moment share a hit', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts/1');
    const events = await published(async () => {
      const replies = await exchange(given.service.port, pipelined(5, '/cache/posts/1'));
      for (const { headers } of replies) expect(headers.get('cache-status')).toMatch(/^EnergeX; hit; ttl=\d+$/);
      expect(replies).toHaveLength(5);
    });
    const hits = events.filter(({ type }) => type !== 'collapsed');
    expect(hits).toEqual([{ type: 'hit', key: 'post:1', tier: 'memory', negative: false, requests: 1 }]);
    expect(events).toHaveLength(5);
  });

  test('every request, whatever else its query says, is one key', async () => {
    await given.service.get('/cache/posts');
    for (const query of ['?foo=1', '?Limit=3', '?limits=3&page=2', '?__proto__=1', '?constructor=x', '?']) {
      expect([query, (await given.service.get(`/cache/posts${query}`)).json.source]).toEqual([query, 'cache']);
    }
  });
});

describeService('Cache-Status on servers', { on: serverStages }, (given) => {
  test('while another instance writes: bypass, from the database, nothing stored', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts/1');
    const server = {
      host: '127.0.0.1',
      port: given.stage.redis?.options.port ?? 0,
      db: given.stage.redis?.options.db ?? 0,
    };
    const writer = openRedisStore(server);
    try {
      await trusted(writer);
      await writer.fence(['post:1'], 'writer', 30_000);
      for (let turn = 0; turn < 2; turn += 1) {
        const reply = await given.service.get('/cache/posts/1');
        expect(statusOf(reply)).toBe('EnergeX; fwd=bypass; detail=fenced');
        expect(reply.json).toMatchObject({ data: { id: 1 }, source: 'database' });
      }
      const together = await exchange(given.service.port, pipelined(2, '/cache/posts/1'));
      expect(together.map(({ headers }) => headers.get('cache-status'))).toEqual([
        'EnergeX; fwd=bypass; detail=fenced',
        'EnergeX; fwd=bypass; collapsed; detail=fenced',
      ]);
      expect(await given.stage.redis?.exists('post:1')).toBe(0);
      await writer.release(['post:1'], 'writer');
      expect(statusOf(await given.service.get('/cache/posts/1'))).toBe('EnergeX; fwd=uri-miss; stored');
    } finally {
      await writer.close();
    }
  });

  test('a load that a writer overtook is answered and not stored', async () => {
    await insertPost(given.database, { id: 1 });
    const { service, toRedis } = await given.stage.behindProxies();
    // The load has its lease, and what it wants to store stays on the way until the writer is through.
    toRedis.delay(200);
    const reading = service.get('/cache/posts/1');
    await eventually(async () => (await given.stage.redis?.hexists('{post:1}:guard', 'lease')) === 1);
    toRedis.blackHole();
    await given.service.request('PUT', '/cache/posts/1', { title: 'changed' });
    await toRedis.restore();
    const reply = await reading;
    expect([statusOf(reply), reply.json.source]).toEqual(['EnergeX; fwd=uri-miss', 'database']);
    expect((await service.get('/cache/posts/1')).json.data.title).toBe('changed');
  });

  test('without Redis: bypass, and the reason', async () => {
    await insertPost(given.database, { id: 1 });
    const { service, toRedis } = await given.stage.behindProxies();
    await service.get('/cache/posts');
    await toRedis.refuse();
    for (const path of ['/cache/posts', '/cache/posts/1', '/cache/posts?limit=5']) {
      const reply = await service.get(path);
      const seen = [path, reply.status, statusOf(reply), reply.json.source];
      expect(seen).toEqual([path, 200, 'EnergeX; fwd=bypass; detail=store-unavailable', 'database']);
    }
    const missing = await service.get('/cache/posts/7');
    expect([missing.status, statusOf(missing)]).toEqual([404, 'EnergeX; fwd=bypass; detail=store-unavailable']);
  });
});
