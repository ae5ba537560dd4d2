import { expect, test } from '@jest/globals';
import { published } from '../harness/engine.ts';
import type { Reply } from '../harness/service.ts';
import { describeService, insertUsers, type OnStage } from '../harness/stage.ts';

const body = { title: 'A title', content: 'Some content', user_id: 1 };

function post(given: OnStage, key: string, content: unknown = body): Promise<Reply> {
  return given.service.request('POST', '/cache/posts', content, { 'idempotency-key': key });
}

async function countPosts(given: OnStage): Promise<number> {
  const [row] = await given.database.query('SELECT COUNT(*) FROM posts');
  return Number(row?.[0]);
}

describeService('Idempotency-Key', {}, (given) => {
  test('a retry with the same key and body gets the first answer again and makes no second row', async () => {
    const first = await post(given, 'key-1');
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([201, null]);
    for (let retry = 0; retry < 2; retry += 1) {
      const again = await post(given, 'key-1');
      expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
      expect(again.text).toBe(first.text);
      expect(again.headers.get('location')).toBe(first.headers.get('location'));
      expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
    }
    expect(await countPosts(given)).toBe(1);
  });

  test('a retry leaves the cache alone', async () => {
    await post(given, 'key-1');
    await given.service.get('/cache/posts');
    const events = await published(() => post(given, 'key-1'));
    expect(events).toEqual([]);
    expect((await given.service.get('/cache/posts')).json.source).toBe('cache');
  });

  test('it is the first answer that is replayed, also when the post was changed or deleted since', async () => {
    const first = await post(given, 'key-1');
    await given.service.request('PUT', '/cache/posts/1', { title: 'changed' });
    expect((await post(given, 'key-1')).text).toBe(first.text);
    await given.service.request('DELETE', '/cache/posts/1');
    expect((await post(given, 'key-1')).text).toBe(first.text);
    expect(await countPosts(given)).toBe(0);
  });

  test.each([
    ['title', { ...body, title: 'Another title' }],
    ['content', { ...body, content: 'Other content' }],
    ['user_id', { ...body, user_id: 2 }],
  ])('the same key with another %s is 422, and the first answer stays', async (_, other) => {
    const first = await post(given, 'key-1');
    const reply = await post(given, 'key-1', other);
    expect(reply.status).toBe(422);
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(reply.json).toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
      message: 'This Idempotency-Key was used with another body',
    });
    expect((await post(given, 'key-1')).text).toBe(first.text);
    expect(await countPosts(given)).toBe(1);
  });

  test('the same fields in another order, spacing or spelling are the same body', async () => {
    const first = await post(given, 'key-1');
    const same = '{ "user_id": "1", "extra": [], "content": "Some content",\n "title": "\\u0041 title" }';
    const again = await post(given, 'key-1', same);
    expect([again.status, again.text]).toEqual([201, first.text]);
    expect(await countPosts(given)).toBe(1);
  });

  test('another key, also one of other letter case, and no key make another row', async () => {
    const keys = ['key-1', 'KEY-1', 'key-1.', '0f8fad5b-d9cb-469f-a165-70867728950e', 'k'.repeat(255), '!~'];
    for (const key of keys) expect((await post(given, key)).status).toBe(201);
    await given.service.request('POST', '/cache/posts', body);
    await given.service.request('POST', '/cache/posts', body);
    expect(await countPosts(given)).toBe(keys.length + 2);
  });

  test.each([
    ['empty', ''],
    ['blank inside', 'a b'],
    ['beyond ASCII', 'ké'],
    ['of 256 characters', 'k'.repeat(256)],
  ])('a key that is %s is 400 and makes no row', async (_, key) => {
    const reply = await post(given, key);
    expect([reply.status, reply.json.code]).toEqual([400, 'IDEMPOTENCY_KEY_INVALID']);
    expect(reply.json.message).toBe('Invalid Idempotency-Key: 1 to 255 visible ASCII characters are needed');
    expect(await countPosts(given)).toBe(0);
  });

  test('concurrent duplicates make one row and get one answer', async () => {
    const replies = await Promise.all(Array.from({ length: 12 }, () => post(given, 'key-1')));
    expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 12 }, () => 201));
    expect(new Set(replies.map(({ text }) => text)).size).toBe(1);
    expect(replies.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
    expect(await countPosts(given)).toBe(1);
  });

  test('concurrent requests with one key and two bodies: one row, the other body is 422', async () => {
    const bodies = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? body : { ...body, title: 'Other' }));
    const replies = await Promise.all(bodies.map((each) => post(given, 'key-1', each)));
    const statuses = replies.map(({ status }) => status);
    expect(statuses.toSorted()).toEqual([
      ...Array.from({ length: 6 }, () => 201),
      ...Array.from({ length: 6 }, () => 422),
    ]);
    expect(await countPosts(given)).toBe(1);
  });

  test('a request that failed does not use up its key', async () => {
    await given.database.execute('DELETE FROM users');
    expect((await post(given, 'key-1')).status).toBe(422);
    expect((await post(given, 'key-1', { ...body, title: '' })).status).toBe(400);
    await insertUsers(given.database);
    const reply = await post(given, 'key-1', { ...body, title: 'Now' });
    expect([reply.status, reply.headers.get('idempotent-replayed')]).toEqual([201, null]);
  });

  test('after 24 hours a key is as new', async () => {
    await post(given, 'key-1');
    const setAge = async (ms: number): Promise<void> => {
      const time = new Date(Date.now() - ms).toISOString().slice(0, 19).replace('T', ' ');
      await given.database.execute('UPDATE cache_idempotency_keys SET created_at = ?', [time]);
    };
    const dayMs = 24 * 60 * 60 * 1000;
    await setAge(dayMs - 60_000);
    expect((await post(given, 'key-1')).headers.get('idempotent-replayed')).toBe('true');
    await setAge(dayMs + 60_000);
    expect((await post(given, 'key-1', { ...body, title: 'New' })).status).toBe(201);
    expect(await countPosts(given)).toBe(2);
  });

  test('it is of no effect on PUT and DELETE', async () => {
    await post(given, 'key-1');
    const headers = { 'idempotency-key': 'key-1' };
    for (const title of ['a', 'b']) {
      expect((await given.service.request('PUT', '/cache/posts/1', { title }, headers)).json.data.title).toBe(title);
    }
    expect((await given.service.request('DELETE', '/cache/posts/1', undefined, headers)).status).toBe(200);
    expect((await given.service.request('DELETE', '/cache/posts/1', undefined, headers)).status).toBe(404);
  });
});
