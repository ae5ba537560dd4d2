import { expect, test } from '@jest/globals';
import type { Service } from '../harness/service.ts';
import { describeService, insertPost } from '../harness/stage.ts';

/** 25 posts; every third shares its time with the one before, the last four have none. */
function times(): { id: number; created_at: string | null }[] {
  return Array.from({ length: 25 }, (_, index) => {
    const id = index + 1;
    const day = String(id % 3 === 0 ? id - 1 : id).padStart(2, '0');
    return { id, created_at: id > 21 ? null : `2025-01-${day} 00:00:00` };
  });
}

const newestFirst = [21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 25, 24, 23, 22];

function nextOf(headers: Headers): string | undefined {
  return /^<(.+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];
}

/** The ids of each page, from `path` to the end. */
async function follow(service: Service, path: string): Promise<number[][]> {
  const pages: number[][] = [];
  for (let next: string | undefined = path; next !== undefined; ) {
    const reply = await service.get(next);
    expect([next, reply.status]).toEqual([next, 200]);
    pages.push(reply.json.data.map(({ id }: { id: number }) => id));
    next = nextOf(reply.headers);
  }
  return pages;
}

function cursor(text: string): string {
  return Buffer.from(text).toString('base64url');
}

describeService('pages', {}, (given) => {
  test.each([1, 4, 5, 7, 24, 25, 26, 100])(
    'limit %i, followed by Link to the end, gives every post once and in order',
    async (limit) => {
      for (const row of times()) await insertPost(given.database, row);
      const pages = await follow(given.service, `/cache/posts?limit=${limit}`);
      expect(pages.flat()).toEqual(newestFirst);
      expect(pages).toHaveLength(Math.ceil(25 / limit));
      for (const page of pages.slice(0, -1)) expect(page).toHaveLength(limit);
    },
  );

  test('the posts of a page have the shape of all others, and the page its own tag and source', async () => {
    await insertPost(given.database, { id: 1 });
    await insertPost(given.database, { id: 2 });
    const all = (await given.service.get('/cache/posts')).json.data;
    const first = await given.service.get('/cache/posts?limit=1');
    expect(first.json).toEqual({ data: [all[0]], source: 'database', timestamp: expect.any(String) });
    const second = await given.service.get(nextOf(first.headers) ?? '');
    expect(second.json).toEqual({ data: [all[1]], source: 'database', timestamp: expect.any(String) });
    expect(second.headers.get('link')).toBeNull();
    const again = await given.service.get('/cache/posts?limit=1');
    expect(again.json.source).toBe('cache');
    expect(again.headers.get('link')).toBe(first.headers.get('link'));
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
  });

  test('a cursor without a limit gives 20, and Link says so', async () => {
    for (const row of times()) await insertPost(given.database, row);
    const next = nextOf((await given.service.get('/cache/posts?limit=1')).headers) ?? '';
    const reply = await given.service.get(next.replace('limit=1&', ''));
    expect(reply.json.data.map(({ id }: { id: number }) => id)).toEqual(newestFirst.slice(1, 21));
    expect(nextOf(reply.headers)).toMatch(/^\/cache\/posts\?limit=20&after=[\w-]+$/);
  });

  test('an empty table has one empty page', async () => {
    expect(await follow(given.service, '/cache/posts?limit=3')).toEqual([[]]);
  });

  test('a post written between two pages moves nothing: no post twice, none left out', async () => {
    for (const row of times()) await insertPost(given.database, row);
    const first = await given.service.get('/cache/posts?limit=5');
    await given.service.request('POST', '/cache/posts', { title: 'newest', content: 'c', user_id: 1 });
    await given.service.request('DELETE', `/cache/posts/${newestFirst[4]}`);
    const rest = await follow(given.service, nextOf(first.headers) ?? '');
    expect(rest.flat()).toEqual(newestFirst.slice(5));
  });

  test('a write takes every page with it', async () => {
    for (const row of times().slice(0, 5)) await insertPost(given.database, row);
    const paths = ['/cache/posts?limit=2', '/cache/posts?limit=3'];
    paths.push(nextOf((await given.service.get('/cache/posts?limit=2')).headers) ?? '');
    for (const path of paths) await given.service.get(path);
    for (const path of paths) expect((await given.service.get(path)).json.source).toBe('cache');
    await given.service.request('PUT', '/cache/posts/1', { title: 'changed' });
    for (const path of paths) expect([path, (await given.service.get(path)).json.source]).toEqual([path, 'database']);
  });

  test.each(['0', '101', '1000', '-1', '1.0', '1e1', 'abc', '', '%20', '05', '+5', 'NaN'])(
    'the limit "%s" is refused',
    async (limit) => {
      const reply = await given.service.get(`/cache/posts?limit=${limit}`);
      expect(reply.status).toBe(400);
      expect(reply.json).toMatchObject({
        code: 'INVALID_PARAMETER',
        message: 'Invalid parameter: `limit` must be a whole number from 1 to 100',
      });
    },
  );

  test.each(['limit=1&limit=1', 'after=a&after=b', 'limit=2&after=a&limit=3'])(
    '%s: a parameter given twice is refused',
    async (query) => {
      const reply = await given.service.get(`/cache/posts?${query}`);
      const name = query.startsWith('after') ? 'after' : 'limit';
      expect([reply.status, reply.json.message]).toEqual([
        400,
        `Invalid parameter: \`${name}\` is given more than once`,
      ]);
    },
  );

  test.each([
    ['nothing', ''],
    ['no base64', '!!!'],
    ['any word', 'abc'],
    ['no comma', cursor('1')],
    ['no id', cursor('2025-01-01 00:00:00,')],
    ['the id 0', cursor('2025-01-01 00:00:00,0')],
    ['an id too large', cursor('2025-01-01 00:00:00,18446744073709551616')],
    ['SQL as id', cursor('2025-01-01 00:00:00,1 OR 1=1')],
    ['SQL as time', cursor("'; DROP TABLE posts; --,1")],
    ['no real day', cursor('2025-02-30 00:00:00,1')],
    ['no real hour', cursor('2025-01-01 25:00:00,1')],
    ['an ISO time', cursor('2025-01-01T00:00:00Z,1')],
    ['a part too many', cursor('2025-01-01 00:00:00,1,1')],
    ['padding', `${cursor(',1')}=`],
    ['other than canonical base64', `${cursor('2025-01-01 00:00:00,1').slice(0, -1)}B`],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0x2c, 0x31]).toString('base64url')],
  ])('a forged cursor (%s) is refused', async (_, after) => {
    await insertPost(given.database, { id: 1 });
    const reply = await given.service.get(`/cache/posts?limit=2&after=${encodeURIComponent(after)}`);
    expect([reply.status, reply.json.message]).toEqual([
      400,
      'Invalid parameter: `after` is not a cursor of this list',
    ]);
  });

  test('a forged cursor that is well-formed is just a position', async () => {
    for (const row of times()) await insertPost(given.database, row);
    const after = cursor('2025-01-04 12:00:00,77');
    expect((await follow(given.service, `/cache/posts?limit=100&after=${after}`)).flat()).toEqual(
      newestFirst.slice(-8),
    );
    const null25 = cursor(',25');
    expect((await follow(given.service, `/cache/posts?limit=100&after=${null25}`)).flat()).toEqual([24, 23, 22]);
  });

  test('limit 100 is enough for 100 posts and leaves the 101st to the next page', async () => {
    for (let id = 1; id <= 101; id += 1) await insertPost(given.database, { id });
    const pages = await follow(given.service, '/cache/posts?limit=100');
    expect(pages.map((page) => page.length)).toEqual([100, 1]);
    expect((await given.service.get('/cache/posts')).json.data).toHaveLength(101);
  });
});
