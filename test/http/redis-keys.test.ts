import { expect, test } from '@jest/globals';
import type { Redis } from 'ioredis';
import { describeService, insertPost, type OnStage, serverStages } from '../harness/stage.ts';

/** What any other program finds in Redis. */

function redisOf({ stage }: OnStage): Redis {
  if (stage.redis === undefined) throw new Error('the embedded default has no Redis');
  return stage.redis;
}

/** The keys that are there, but the table of the fences, which stays. */
async function keysOf(given: OnStage): Promise<string[]> {
  const keys = await redisOf(given).keys('*');
  return keys.filter((key) => key !== 'energex:fences').toSorted();
}

/** Those of values: guards come and go with leases. */
async function valueKeys(given: OnStage): Promise<string[]> {
  return (await keysOf(given)).filter((key) => !key.endsWith(':guard') && !key.includes('energex:'));
}

/** The bytes of `data` as they stand in an answer. */
function dataOf(text: string): string {
  return text.slice('{"data":'.length, text.lastIndexOf(',"source":'));
}

const minuteMs = 60_000;

describeService('Redis keys', { on: serverStages }, (given) => {
  test.each([
    ['posts:all', '/cache/posts', 5 * minuteMs],
    ['post:1', '/cache/posts/1', 10 * minuteMs],
  ])('%s is a plain string: byte for byte the JSON of data, with its time to live', async (key, path, ttlMs) => {
    await insertPost(given.database, { id: 1, title: 'naïve 😀 "quoted" \\ / \u2028 עברית', content: '<b>\u0000\n' });
    const { text } = await given.service.get(path);
    const redis = redisOf(given);
    expect(await redis.type(key)).toBe('string');
    expect((await redis.getBuffer(key))?.equals(Buffer.from(dataOf(text)))).toBe(true);
    const left = await redis.pttl(key);
    expect(left).toBeLessThanOrEqual(ttlMs);
    expect(left).toBeGreaterThan(ttlMs * 0.9 - 10_000);
    expect(dataOf((await given.service.get(path)).text)).toBe(dataOf(text));
    expect(await redis.pttl(key)).toBeLessThanOrEqual(left);
  });

  test('jitter shortens a time to live by up to a tenth and never lengthens it; not all entries expire together', async () => {
    const redis = redisOf(given);
    const lefts: number[] = [];
    for (let id = 1; id <= 60; id += 1) {
      await insertPost(given.database, { id });
      const before = await redis.time();
      await given.service.get(`/cache/posts/${id}`);
      const [seconds = 0, micros = 0] = before.map(Number);
      // Whatever the test itself takes is not counted against the entry.
      lefts.push((await redis.pexpiretime(`post:${id}`)) - (seconds * 1_000 + micros / 1_000));
    }
    expect(Math.min(...lefts)).toBeGreaterThan(9 * minuteMs - 1);
    expect(Math.max(...lefts)).toBeLessThan(10 * minuteMs + 5_000);
    expect(new Set(lefts.map((left) => Math.round(left / 1_000))).size).toBeGreaterThan(10);
    for (let id = 1; id <= 60; id += 1) expect(await redis.pttl(`post:${id}`)).toBeLessThanOrEqual(10 * minuteMs);
  });

  test('reading one post makes one key, reading all another, and each its guard', async () => {
    for (const id of [1, 2]) await insertPost(given.database, { id });
    await given.service.get('/cache/posts/1');
    expect(await keysOf(given)).toEqual(['post:1', '{post:1}:guard']);
    await given.service.get('/cache/posts');
    expect(await keysOf(given)).toEqual(['post:1', 'posts:all', '{post:1}:guard', '{posts:all}:guard']);
  });

  test('a page makes a part of the list and nothing else; every key has a time to live', async () => {
    for (const id of [1, 2, 3]) await insertPost(given.database, { id });
    const first = await given.service.get('/cache/posts?limit=2');
    const next = /<(.+)>/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    await given.service.get(next);
    const after = new URL(next, given.service.url).searchParams.get('after') ?? '';
    const parts = ['{posts:all}:part:limit=2', `{posts:all}:part:limit=2&after=${after}`];
    expect(await keysOf(given)).toEqual([...parts, '{posts:all}:guard'].toSorted());
    for (const key of await keysOf(given)) {
      expect(await redisOf(given).pttl(key)).toBeGreaterThan(0);
      expect(await redisOf(given).pttl(key)).toBeLessThanOrEqual(5 * minuteMs);
    }
  });

  test('parameters that mean nothing, wrong ids and refused parameters make no keys', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts');
    const keys = await keysOf(given);
    for (const query of [
      '?x=1',
      '?utm_source=mail&x=2',
      '?LIMIT=5',
      '?limit=0',
      '?limit=101',
      '?limit=1&limit=1',
      '?after=abc',
    ]) {
      await given.service.get(`/cache/posts${query}`);
    }
    for (const id of ['0', 'abc', '%00', '9'.repeat(400)]) await given.service.get(`/cache/posts/${id}`);
    await given.service.get('/nowhere');
    await given.service.request('POST', '/cache/posts', { title: '' });
    expect(await keysOf(given)).toEqual(keys);
  });

  const warm = [
    '/cache/posts',
    '/cache/posts?limit=1',
    '/cache/posts?limit=2',
    '/cache/posts/1',
    '/cache/posts/2',
    '/cache/posts/3',
  ];

  test.each<[string, string, string, unknown, string[]]>([
    ['an update of post 1', 'PUT', '/cache/posts/1', { title: 'new' }, ['post:2', 'post:3']],
    ['a deletion of post 1', 'DELETE', '/cache/posts/1', { user_id: 1 }, ['post:2', 'post:3']],
    // Post 3 is not there yet, and cached as such.
    ['a creation', 'POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 }, ['post:1', 'post:2']],
  ])('%s removes exactly its own key, the list and its pages', async (_, method, path, body, left) => {
    for (const id of [1, 2]) await insertPost(given.database, { id });
    for (const each of warm) await given.service.get(each);
    const parts = ['{posts:all}:part:limit=1', '{posts:all}:part:limit=2'];
    expect(await valueKeys(given)).toEqual(['post:1', 'post:2', 'post:3', 'posts:all', ...parts].toSorted());
    const before = await redisOf(given).pexpiretime('post:2');
    expect((await given.service.request(method, path, body)).status).toBeLessThan(300);
    // Nothing asks for the parts any more: a read of them finds no version and loads again.
    const unreachable = new Set(parts);
    expect((await valueKeys(given)).filter((key) => !unreachable.has(key))).toEqual(left);
    expect(await redisOf(given).pexpiretime('post:2')).toBe(before);
    for (const each of warm.slice(0, 3))
      expect([each, (await given.service.get(each)).json.source]).toEqual([each, 'database']);
  });

  test('a write that changes nothing, or fails, removes no key', async () => {
    for (const id of [1, 2]) await insertPost(given.database, { id });
    for (const each of warm) await given.service.get(each);
    const keys = await keysOf(given);
    const statuses = [
      await given.service.request('PUT', '/cache/posts/1', { title: 'Title 1' }),
      await given.service.request('PUT', '/cache/posts/1', { title: '' }),
      await given.service.request('PUT', '/cache/posts/1', { title: 'x' }, { 'if-match': '"other"' }),
      await given.service.request('PUT', '/cache/posts/7', { title: 'x' }),
      await given.service.request('DELETE', '/cache/posts/1', { user_id: 2 }),
      await given.service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 9 }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([200, 400, 412, 404, 403, 422]);
    expect(await keysOf(given)).toEqual(keys);
  });

  test('what another program puts under a key is not served, and is replaced', async () => {
    await insertPost(given.database, { id: 1 });
    await redisOf(given).set('post:1', '{"id":1,"title":"forged"}', 'EX', 600);
    expect((await given.service.get('/cache/posts/1')).json).toMatchObject({
      data: { title: 'Title 1' },
      source: 'database',
    });
    expect(JSON.parse((await redisOf(given).get('post:1')) ?? '')).toMatchObject({ title: 'Title 1' });
  });
});
