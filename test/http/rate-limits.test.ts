import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { StoreUnavailable } from '../../src/cache/store.ts';
import { groupOf, RateLimits } from '../../src/http/rate-limits.ts';
import { OwnCounts, type RequestCounts } from '../../src/http/request-counts.ts';
import { connectClient } from '../harness/live-client.ts';
import type { Reply } from '../harness/service.ts';
import { ada, describeService, embeddedStage, insertPost, serverStages } from '../harness/stage.ts';

const limits = { RATE_LIMIT_READS: '5', RATE_LIMIT_WRITES: '3', RATE_LIMIT_BROADCASTS: '2' };
const secret = 'the secret of the backend';
const environment = { ...limits, REALTIME_API_SECRET: secret, TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' };
/** An address that no other test has used: counts outlive a service. */
let client = 0;
const newClient = (): { 'x-forwarded-for': string } => {
  client += 1;
  return { 'x-forwarded-for': `203.0.${Math.floor(client / 200)}.${(client % 200) + 1}` };
};
const leftIn = ({ headers }: Reply): number => Number(/r=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]);

describeService('limits of requests', { environment }, (given) => {
  beforeEach(() => insertPost(given.database, { id: 1 }));

  test('reads: what is left is told, then 429 with Retry-After, for this address alone', async () => {
    const from = newClient();
    const paths = ['/cache/posts', '/cache/posts/1', '/cache/posts?limit=1', '/cache/posts/2', '/cache/posts/x'];
    const replies: Reply[] = [];
    for (const path of paths) replies.push(await given.service.get(path, from));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 404, 400]);
    expect(replies.map(leftIn)).toEqual([4, 3, 2, 1, 0]);
    expect(replies[0]?.headers.get('ratelimit-policy')).toBe('"reads";q=5;w=60');
    expect(replies[0]?.headers.get('ratelimit')).toMatch(/^"reads";r=4;t=(?:60|5\d)$/);
    for (const path of paths) {
      const refused = await given.service.get(path, from);
      const seconds = Number(refused.headers.get('retry-after'));
      expect([refused.status, refused.json.code, leftIn(refused)]).toEqual([429, 'RATE_LIMITED', 0]);
      expect(refused.json.message).toBe(`Too many reads; try again in ${seconds} seconds`);
      expect(seconds > 0 && seconds <= 60).toBe(true);
    }
    expect((await given.service.get('/cache/posts', newClient())).status).toBe(200);
  });

  test('each has a budget of its own; what is refused counts as well', async () => {
    const from = newClient();
    const write = (body: object) => given.service.request('PUT', '/cache/posts/1', body, from);
    expect((await write({})).status).toBe(400);
    expect((await write({ title: 'New' })).status).toBe(200);
    expect((await given.service.request('DELETE', '/cache/posts/4711', {}, from)).status).toBe(404);
    expect((await write({ title: 'Newer' })).json.code).toBe('RATE_LIMITED');
    expect((await given.service.get('/cache/posts/1', from)).json.data.title).toBe('New');
    const broadcast = (headers: object) =>
      given.service.request('POST', '/internal/broadcast', { event: 'e', data: 1 }, { ...from, ...headers });
    const replies = [await broadcast({}), await broadcast({ 'x-internal-secret': secret })];
    replies.push(await broadcast({ 'x-internal-secret': secret }));
    expect(replies.map(({ status }) => status)).toEqual([403, 200, 429]);
  });

  test('what is no read and no write is not limited', async () => {
    const from = newClient();
    for (let count = 0; count < 8; count += 1) {
      for (const path of ['/cache/health', '/livez', '/readyz', '/metrics', '/openapi.json', '/nowhere']) {
        const reply = await given.service.get(path, from);
        expect([path, reply.status, reply.headers.get('ratelimit')]).not.toContain(429);
      }
      expect((await given.service.request('OPTIONS', '/cache/posts', undefined, from)).status).toBe(204);
    }
    expect(leftIn(await given.service.get('/cache/posts', from))).toBe(4);
  });

  test('what a client says of its address is believed from proxies only', async () => {
    const [first, second] = [newClient(), newClient()];
    for (let count = 0; count < 5; count += 1) {
      // Whatever the client itself has put before what the proxy has seen.
      const told = `198.51.100.${count}, ${first['x-forwarded-for']}, 10.1.2.3`;
      expect((await given.service.get('/cache/posts', { 'x-forwarded-for': told })).status).toBe(200);
    }
    expect((await given.service.get('/cache/posts', first)).status).toBe(429);
    expect((await given.service.get('/cache/posts', second)).status).toBe(200);
  });

  test('pages of the frontend read what is left, also of a refusal', async () => {
    const from = { ...newClient(), origin: 'http://localhost:5173' };
    for (let count = 0; count < 6; count += 1) {
      const { headers } = await given.service.get('/cache/posts', from);
      expect(headers.get('access-control-allow-origin')).toBe('http://localhost:5173');
      expect(headers.get('access-control-expose-headers')).toContain('RateLimit, RateLimit-Policy');
    }
  });

  test('live events go on', async () => {
    const live = await connectClient(given.service.url);
    const body = { title: 't', content: 'c', user_id: ada.id };
    expect((await given.service.request('POST', '/cache/posts', body, newClient())).status).toBe(201);
    await live.hears(1);
    live.close();
  });
});

describeService('limits without trusted proxies', { environment: limits, on: embeddedStage }, (given) => {
  test('another address in a header is no other address', async () => {
    const replies: number[] = [];
    for (let count = 0; count < 6; count += 1) {
      replies.push((await given.service.get('/cache/posts', newClient())).status);
    }
    expect(replies).toEqual([200, 200, 200, 200, 200, 429]);
  });
});

describeService('two instances', { environment, on: serverStages }, (given) => {
  test('count together; and each for itself while Redis is away', async () => {
    const { service: other, toRedis } = await given.stage.behindProxies({ environment });
    const from = newClient();
    const here = async () => leftIn(await given.service.get('/cache/posts/1', from));
    const there = async () => leftIn(await other.get('/cache/posts/1', from));
    expect([await here(), await there(), await here()]).toEqual([4, 3, 2]);
    await toRedis.refuse();
    expect([await there(), await there()]).toEqual([4, 3]);
    expect(await here()).toBe(1);
  });

  test('a number that has lost its end gets one', async () => {
    const from = newClient();
    const key = `energex:limit:reads:${from['x-forwarded-for']}`;
    await given.service.get('/cache/posts/1', from);
    await given.stage.redis?.persist(key);
    await given.service.get('/cache/posts/1', from);
    expect(await given.stage.redis?.pttl(key)).toBeGreaterThan(50_000);
  });
});

describe('RateLimits', () => {
  let now = 1_000;
  let asked = 0;
  let isAway = false;
  const inner = new OwnCounts(() => now);
  const shared: RequestCounts = {
    count: async (key, windowMs) => {
      asked += 1;
      if (isAway) throw new StoreUnavailable('away');
      return await inner.count(key, windowMs);
    },
  };
  const rates = new RateLimits({ reads: 2, writes: 0, broadcasts: 1 }, shared, () => now);
  const headers = new Map<string, string>();
  const reply = { header: (name: string, value: string) => headers.set(name, value) } as unknown as FastifyReply;
  const take = async (ip: string, budget: 'reads' | 'writes' = 'reads'): Promise<string> =>
    rates.take(budget, { ip } as FastifyRequest, reply).then(
      () => 'taken',
      (error: Error) => error.message,
    );
  afterAll(() => headers.clear());

  test('a window begins with the first request, and the next one after it has ended', async () => {
    expect([await take('a'), await take('a')]).toEqual(['taken', 'taken']);
    now += 20_500;
    expect(await take('a')).toBe('Too many reads; try again in 40 seconds');
    expect(headers.get('ratelimit')).toBe('"reads";r=0;t=40');
    now += 39_499;
    expect(await take('a')).toBe('Too many reads; try again in 1 seconds');
    now += 1;
    expect(await take('a')).toBe('taken');
  });

  test('who is refused is not counted on', async () => {
    for (let count = 0; count < 3; count += 1) await take('b');
    const before = asked;
    for (let count = 0; count < 100; count += 1) expect(await take('b')).toMatch(/^Too many reads/);
    expect(asked).toBe(before);
  });

  test('a budget of 0 is no limit, and costs nothing', async () => {
    const before = asked;
    for (let count = 0; count < 10; count += 1) expect(await take('c', 'writes')).toBe('taken');
    expect(asked).toBe(before);
  });

  test('where nobody counts together, this process does', async () => {
    isAway = true;
    expect([await take('d'), await take('d')]).toEqual(['taken', 'taken']);
    expect(await take('d')).toMatch(/^Too many reads/);
    isAway = false;
  });

  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
  ])('%s counts as %s', (address, group) => {
    expect(groupOf(address)).toBe(group);
  });
});
