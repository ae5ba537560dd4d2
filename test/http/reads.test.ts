import { expect, test } from '@jest/globals';
import { ada, describeService, grace, insertPost, standardPost } from '../harness/stage.ts';

/** The ids of the answer, in its order. */
function ids(data: readonly { id: number }[]): number[] {
  return data.map(({ id }) => id);
}

describeService('reading posts', {}, (given) => {
  test('one post: exactly these members; from the database first, then from the cache', async () => {
    await insertPost(given.database, { id: 1 });
    const before = new Date().toISOString();
    const first = await given.service.get('/cache/posts/1');
    const after = new Date().toISOString();
    expect(first.status).toBe(200);
    expect(first.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(first.json).toEqual({ data: standardPost(1), source: 'database', timestamp: expect.any(String) });
    expect(first.json.timestamp >= before && first.json.timestamp <= after).toBe(true);
    const second = await given.service.get('/cache/posts/1');
    expect(second.json).toEqual({ data: standardPost(1), source: 'cache', timestamp: expect.any(String) });
    expect(second.json.timestamp >= after).toBe(true);
  });

  test('all posts: an array of the same shape; from the database first, then from the cache', async () => {
    await insertPost(given.database, { id: 1, created_at: '2025-01-01 00:00:00' });
    await insertPost(given.database, { id: 2, created_at: '2025-01-03 10:20:30', user_id: grace.id });
    const expected = [
      { ...standardPost(2), created_at: '2025-01-03T10:20:30Z', user_id: grace.id, user: grace },
      standardPost(1),
    ];
    const first = await given.service.get('/cache/posts');
    expect(first.status).toBe(200);
    expect(first.json).toEqual({ data: expected, source: 'database', timestamp: expect.any(String) });
    expect((await given.service.get('/cache/posts')).json).toEqual({
      data: expected,
      source: 'cache',
      timestamp: expect.any(String),
    });
  });

  test('nothing of a user but id, name and e-mail address is in any answer', async () => {
    await insertPost(given.database, { id: 1 });
    const { service } = given;
    const answers = [
      await service.get('/cache/posts'),
      await service.get('/cache/posts?limit=1'),
      await service.get('/cache/posts/1'),
      await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 }),
      await service.request('PUT', '/cache/posts/1', { title: 'new' }),
      await service.request('DELETE', '/cache/posts/1', { user_id: 1 }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 201, 200, 200]);
    for (const { text } of answers) expect(text).not.toMatch(/secret-hash|admin|password|role|2024-12-31/);
  });

  test('an empty table is 200 with an empty array', async () => {
    const reply = await given.service.get('/cache/posts');
    expect(reply.status).toBe(200);
    expect(reply.json).toEqual({ data: [], source: 'database', timestamp: expect.any(String) });
    expect((await given.service.get('/cache/posts')).json).toMatchObject({ data: [], source: 'cache' });
  });

  test('newest first; equal times by id, descending; posts without a time last', async () => {
    await insertPost(given.database, { id: 1, created_at: '2025-01-02 00:00:00' });
    await insertPost(given.database, { id: 2, created_at: null });
    await insertPost(given.database, { id: 3, created_at: '2025-01-03 00:00:00' });
    await insertPost(given.database, { id: 4, created_at: '2025-01-02 00:00:00' });
    await insertPost(given.database, { id: 5, created_at: null });
    await insertPost(given.database, { id: 6, created_at: '2024-01-01 00:00:00' });
    await insertPost(given.database, { id: 10, created_at: '2025-01-02 00:00:00' });
    expect(ids((await given.service.get('/cache/posts')).json.data)).toEqual([3, 10, 4, 1, 6, 5, 2]);
  });

  test('a time that is null stays null', async () => {
    await insertPost(given.database, { id: 1, created_at: null, updated_at: null });
    const expected = { ...standardPost(1), created_at: null, updated_at: null };
    expect((await given.service.get('/cache/posts/1')).json.data).toEqual(expected);
    expect((await given.service.get('/cache/posts')).json.data).toEqual([expected]);
  });

  test('a post that is not there is 404, also when that is known from the cache', async () => {
    const answers = [await given.service.get('/cache/posts/7'), await given.service.get('/cache/posts/7')];
    for (const reply of answers) {
      expect(reply.status).toBe(404);
      expect(reply.json.message).toBe('Post not found');
    }
    const statuses = answers.map(({ headers }) => headers.get('cache-status'));
    expect(statuses[0]).toBe('EnergeX; fwd=uri-miss; stored');
    expect(statuses[1]).toMatch(/^EnergeX; hit; ttl=\d+$/);
  });

  const noIds = ['0', '-1', '+1', '1.5', '1e3', '0x1', '01', 'abc', '%20', '%00', '1%00', '18446744073709551616'];
  test.each([...noIds.map((id) => [id, id]), ['of 400 digits', '9'.repeat(400)]])(
    'the id %s is invalid for every method',
    async (_, id) => {
      const answers = [
        await given.service.get(`/cache/posts/${id}`),
        await given.service.request('PUT', `/cache/posts/${id}`, { title: 't' }),
        await given.service.request('DELETE', `/cache/posts/${id}`, { user_id: 1 }),
        await given.service.request('DELETE', `/cache/posts/${id}`),
      ];
      for (const reply of answers) {
        expect(reply.status).toBe(400);
        expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
        expect(reply.json).toMatchObject({ code: 'INVALID_ID', message: 'Invalid post ID' });
      }
    },
  );

  test('an id with broken percent-encoding is 400', async () => {
    const reply = await given.service.get('/cache/posts/%zz');
    expect(reply.status).toBe(400);
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(reply.headers.get('x-content-type-options')).toBe('nosniff');
    expect(reply.json).toMatchObject({ code: 'BAD_REQUEST', message: 'The request is malformed' });
  });

  test('ids beyond 2^53 are exact', async () => {
    // As a floating-point number, 9007199254740993 is this one.
    await given.database.execute(
      `INSERT INTO posts (id, title, content, user_id) VALUES (${given.database.dialect.integer}, 'neighbour', 'c', 1)`,
      ['9007199254740992'],
    );
    expect((await given.service.get('/cache/posts/9007199254740992')).status).toBe(200);
    for (const id of ['9007199254740993', '18446744073709551615']) {
      const reply = await given.service.get(`/cache/posts/${id}`);
      expect([reply.status, reply.json.message]).toEqual([404, 'Post not found']);
    }
    await given.database.execute(
      `INSERT INTO posts (id, title, content, user_id) VALUES (${given.database.dialect.integer}, 'exact', 'c', 1)`,
      ['9007199254740995'],
    );
    const exact = await given.service.get('/cache/posts/9007199254740995');
    expect(exact.text).toContain('"id":9007199254740995,"title":"exact"');
    const gone = await given.service.request('DELETE', '/cache/posts/9007199254740995');
    expect(gone.text).toBe('{"message":"Post deleted successfully","postId":9007199254740995,"source":"database"}');
    expect((await given.service.get('/cache/posts/9007199254740992')).json.data.title).toBe('neighbour');
  });

  test('HEAD has the status and the headers of GET and no body', async () => {
    await insertPost(given.database, { id: 1 });
    for (const path of ['/cache/posts', '/cache/posts?limit=1', '/cache/posts/1', '/cache/health', '/cache/posts/7']) {
      await given.service.get(path);
      const get = await given.service.get(path);
      const head = await given.service.request('HEAD', path);
      expect([path, head.status, head.text]).toEqual([path, get.status, '']);
      for (const name of ['content-type', 'content-length', 'etag']) {
        expect([path, name, head.headers.get(name)]).toEqual([path, name, get.headers.get(name)]);
      }
      expect(head.headers.get('cache-status')?.slice(0, 12)).toBe(get.headers.get('cache-status')?.slice(0, 12));
    }
  });

  test('HEAD of a cold key loads it for the next reader', async () => {
    await insertPost(given.database, { id: 1 });
    const head = await given.service.request('HEAD', '/cache/posts/1');
    expect(head.headers.get('cache-status')).toBe('EnergeX; fwd=uri-miss; stored');
    expect((await given.service.get('/cache/posts/1')).json.source).toBe('cache');
  });

  test('text of every script goes through unchanged, out of a table written by another program', async () => {
    const title = 'שלום \u202eעולם\u202c 👩‍👩‍👧‍👦 naïve 漢字 \\"quoted\\"\n\t\u2028';
    await insertPost(given.database, { id: 1, title, content: `${title}</script>` });
    expect((await given.service.get('/cache/posts/1')).json.data).toEqual({
      ...standardPost(1),
      title,
      content: `${title}</script>`,
      user: ada,
    });
  });
});
