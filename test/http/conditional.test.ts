import { expect, test } from '@jest/globals';
import { published } from '../harness/engine.ts';
import type { Service } from '../harness/service.ts';
import { describeService, insertPost } from '../harness/stage.ts';

const secret = 'shared secret';

async function etagOf(service: Service, path: string): Promise<string> {
  return (await service.get(path)).headers.get('etag') ?? '';
}

/** What the PHP backend does after it has written past the service. */
async function told(service: Service, id: number): Promise<void> {
  const reply = await service.request(
    'POST',
    '/internal/broadcast',
    { event: 'post_updated', data: { id } },
    { 'x-internal-secret': secret },
  );
  expect(reply.status).toBe(200);
}

describeService('conditional reads', { environment: { REALTIME_API_SECRET: secret } }, (given) => {
  const paths = ['/cache/posts', '/cache/posts?limit=1', '/cache/posts/1'];

  test.each(paths)('%s: If-None-Match with its tag is 304 without a body and without a load', async (path) => {
    await insertPost(given.database, { id: 1 });
    const etag = await etagOf(given.service, path);
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    for (const header of [etag, `W/${etag}`, `"other", ${etag}`, `"with, comma",W/"x",W/${etag} `, '*', ' * ']) {
      const events = await published(async () => {
        const reply = await given.service.get(path, { 'if-none-match': header });
        expect([header, reply.status, reply.text]).toEqual([header, 304, '']);
        expect(reply.headers.get('etag')).toBe(etag);
        expect(reply.headers.get('cache-control')).toBe('no-cache');
        expect(reply.headers.get('cache-status')).toMatch(/^EnergeX; hit; ttl=\d+$/);
        expect(reply.headers.get('content-length')).toBeNull();
      });
      expect(events.map(({ type }) => type)).toEqual(['hit']);
    }
  });

  test.each(['"other"', 'W/"other"', '', 'no-quotes', '"a", "b"', 'x"'])(
    'If-None-Match %s matches nothing: 200',
    async (header) => {
      await insertPost(given.database, { id: 1 });
      await given.service.get('/cache/posts/1');
      const reply = await given.service.get('/cache/posts/1', { 'if-none-match': header });
      expect([reply.status, reply.json.data.id]).toEqual([200, 1]);
    },
  );

  test('the tag is the same on HEAD, and If-None-Match works there too', async () => {
    await insertPost(given.database, { id: 1 });
    const etag = await etagOf(given.service, '/cache/posts/1');
    const head = await given.service.request('HEAD', '/cache/posts/1', undefined, { 'if-none-match': etag });
    expect([head.status, head.headers.get('etag')]).toEqual([304, etag]);
  });

  test('If-None-Match does not turn a missing post into 304', async () => {
    expect((await given.service.get('/cache/posts/7', { 'if-none-match': '*' })).status).toBe(404);
  });

  test('the tag survives a refill with equal content, and 304 comes of a load as well', async () => {
    await insertPost(given.database, { id: 1 });
    for (const path of paths) {
      const etag = await etagOf(given.service, path);
      await told(given.service, 1);
      const again = await given.service.get(path);
      expect([path, again.json.source, again.headers.get('etag')]).toEqual([path, 'database', etag]);
      await told(given.service, 1);
      const loaded = await given.service.get(path, { 'if-none-match': etag });
      expect([path, loaded.status, loaded.headers.get('cache-status')]).toEqual([
        path,
        304,
        'EnergeX; fwd=uri-miss; stored',
      ]);
    }
  });

  test('another content has another tag: the old one is answered with 200', async () => {
    await insertPost(given.database, { id: 1 });
    const before = new Map<string, string>();
    for (const path of paths) before.set(path, await etagOf(given.service, path));
    await given.service.request('PUT', '/cache/posts/1', { title: 'changed' });
    for (const path of paths) {
      const reply = await given.service.get(path, { 'if-none-match': before.get(path) ?? '' });
      expect([path, reply.status]).toEqual([path, 200]);
      expect(reply.headers.get('etag')).not.toBe(before.get(path));
    }
    const empty = await etagOf(given.service, '/cache/posts?limit=1');
    await given.service.request('DELETE', '/cache/posts/1');
    expect(await etagOf(given.service, '/cache/posts?limit=1')).not.toBe(empty);
  });
});

describeService('conditional writes', { environment: { REALTIME_API_SECRET: secret } }, (given) => {
  async function change(header: string, method = 'PUT'): Promise<number> {
    const body = method === 'PUT' ? { title: `by ${header}` } : { user_id: 1 };
    return (await given.service.request(method, '/cache/posts/1', body, { 'if-match': header })).status;
  }

  test('If-Match with the current tag lets PUT and DELETE through; the answer of a write has the new tag', async () => {
    const created = await given.service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 });
    const first = created.headers.get('etag') ?? '';
    expect(first).toBe(await etagOf(given.service, '/cache/posts/1'));
    const put = await given.service.request(
      'PUT',
      '/cache/posts/1',
      { title: 'new' },
      { 'if-match': `"other", ${first}` },
    );
    expect(put.status).toBe(200);
    const second = put.headers.get('etag') ?? '';
    expect(second).not.toBe(first);
    expect(second).toBe(await etagOf(given.service, '/cache/posts/1'));
    expect(await change(second, 'DELETE')).toBe(200);
  });

  test.each(['"stale"', '"a", "b"', 'no-quotes', '""'])(
    'If-Match %s is 412 on PUT and DELETE, and changes nothing',
    async (header) => {
      await insertPost(given.database, { id: 1 });
      const before = await given.service.get('/cache/posts/1');
      for (const method of ['PUT', 'DELETE']) {
        const reply = await given.service.request(method, '/cache/posts/1', method === 'PUT' ? { title: 'x' } : {}, {
          'if-match': header,
        });
        expect(reply.status).toBe(412);
        expect(reply.json).toMatchObject({
          code: 'PRECONDITION_FAILED',
          message: 'The post has changed: the precondition of If-Match does not hold',
        });
      }
      const after = await given.service.get('/cache/posts/1');
      expect(after.json.data).toEqual(before.json.data);
      expect(after.json.source).toBe('cache');
    },
  );

  test('If-Match compares strongly: a weak tag matches nothing', async () => {
    await insertPost(given.database, { id: 1 });
    const etag = await etagOf(given.service, '/cache/posts/1');
    expect([await change(`W/${etag}`), await change(`W/${etag}`, 'DELETE')]).toEqual([412, 412]);
    expect(await change(`W/"x", ${etag}`)).toBe(200);
  });

  test('If-Match: * matches any post that is there', async () => {
    await insertPost(given.database, { id: 1 });
    expect([await change('*'), await change('*', 'DELETE'), await change('*'), await change('*', 'DELETE')]).toEqual([
      200, 200, 404, 404,
    ]);
  });

  test('the tag is compared with the row itself, not with what is cached', async () => {
    await insertPost(given.database, { id: 1 });
    const etag = await etagOf(given.service, '/cache/posts/1');
    await given.database.execute("UPDATE posts SET title = 'changed by another program' WHERE id = 1");
    expect(await etagOf(given.service, '/cache/posts/1')).toBe(etag);
    expect([await change(etag), await change(etag, 'DELETE')]).toEqual([412, 412]);
    expect(await given.database.query('SELECT title FROM posts')).toEqual([['changed by another program']]);
  });

  test('of many writers with the same tag one wins', async () => {
    await insertPost(given.database, { id: 1 });
    const etag = await etagOf(given.service, '/cache/posts/1');
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        given.service.request('PUT', '/cache/posts/1', { title: `writer ${index}` }, { 'if-match': etag }),
      ),
    );
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, ...Array.from({ length: 7 }, () => 412)]);
    const winner = replies.find(({ status }) => status === 200);
    expect((await given.service.get('/cache/posts/1')).json.data).toEqual(winner?.json.data);
  });
});
