import { expect, test } from '@jest/globals';
import type { Reply } from '../harness/service.ts';
import { ada, describeService, grace, type OnStage } from '../harness/stage.ts';

const valid = { title: 'A title', content: 'Some content', user_id: 1 };

function post(given: OnStage, body: unknown, headers?: Record<string, string>): Promise<Reply> {
  return given.service.request('POST', '/cache/posts', body, headers);
}

/** The fields that an answer complains of, each with its sentence. */
function complaints(reply: Reply): Record<string, string> {
  const errors: { field: string; message: string }[] = reply.json.errors;
  return Object.fromEntries(errors.map(({ field, message }) => [field, message]));
}

describeService('creating a post', {}, (given) => {
  test('201 with exactly these members, its address, and the row as it is in the table', async () => {
    const began = Math.floor(Date.now() / 1000) * 1000;
    const reply = await post(given, { ...valid, user_id: grace.id });
    expect(reply.status).toBe(201);
    expect(reply.headers.get('location')).toBe('/cache/posts/1');
    expect(reply.headers.get('content-type')).toBe('application/json; charset=utf-8');
    const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(reply.json).toEqual({
      message: 'Post created successfully',
      data: { ...valid, id: 1, created_at: time, updated_at: time, user_id: grace.id, user: grace },
      source: 'database',
    });
    const createdAt = Date.parse(reply.json.data.created_at);
    expect(createdAt).toBeGreaterThanOrEqual(began);
    expect(createdAt).toBeLessThanOrEqual(Date.now());
    expect(reply.json.data.updated_at).toBe(reply.json.data.created_at);
    const [row] = await given.database.query('SELECT title, content, user_id, created_at FROM posts');
    expect(row?.map(String)).toEqual([
      'A title',
      'Some content',
      '2',
      reply.json.data.created_at.replace('T', ' ').replace('Z', ''),
    ]);
    expect((await given.service.get('/cache/posts/1')).json.data).toEqual(reply.json.data);
  });

  test('the new post is in the list, in its pages and under its address at once, although all were cached', async () => {
    const paths = ['/cache/posts', '/cache/posts?limit=5', '/cache/posts/1'];
    for (const path of paths) await given.service.get(path);
    const { data } = (await post(given, valid)).json;
    expect(data.id).toBe(1);
    for (const path of paths) {
      const reply = await given.service.get(path);
      expect([path, reply.status, reply.json.source]).toEqual([path, 200, 'database']);
      expect([reply.json.data].flat()).toEqual([data]);
    }
  });

  test('user_id may be a string of digits', async () => {
    const reply = await post(given, { ...valid, user_id: '2' });
    expect([reply.status, reply.json.data.user_id, reply.json.data.user]).toEqual([201, 2, grace]);
  });

  test('what is no field is ignored, also the columns that are not for clients', async () => {
    const more = {
      id: 77,
      created_at: '2001-01-01T00:00:00Z',
      updated_at: null,
      user: grace,
      role: 'admin',
      constructor: 1,
    };
    const reply = await post(given, { ...more, ...valid });
    expect(reply.status).toBe(201);
    expect(reply.json.data).toMatchObject({ id: 1, user_id: 1, user: ada });
    expect(reply.json.data.created_at).not.toMatch(/^2001/);
    expect(Object.keys(reply.json.data).toSorted()).toEqual([
      'content',
      'created_at',
      'id',
      'title',
      'updated_at',
      'user',
      'user_id',
    ]);
  });

  test('of a member given twice the last one counts, as in JSON.parse', async () => {
    const reply = await post(given, '{"title":"first","title":"last","content":"c","user_id":2,"user_id":1}');
    expect(reply.json.data).toMatchObject({ title: 'last', user_id: 1 });
    const bad = await post(given, '{"title":"first","title":"","content":"c","user_id":1}');
    expect([bad.status, complaints(bad)]).toEqual([400, { title: 'title must not be blank' }]);
  });

  test.each([
    ['emoji', '👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301'],
    ['right-to-left text with its marks', 'שלום \u202eעולם\u202c مرحبا'],
    ['SQL', "'; DROP TABLE posts; -- \\' \" %_ ${1} ? :x"],
    ['HTML', '<script>alert(1)</script>&amp;<!--'],
    ['control characters', 'tab\there\nline\r\nnul\u0000bell\u0007\u2028\u2029\ufeff'],
    ['white space around it', '  not trimmed\n'],
    ['what looks like a number', '007'],
    ['what looks like JSON', '{"a":[1,null]}'],
  ])('%s is stored and returned as it is', async (_, text) => {
    const created = await post(given, { title: text, content: text, user_id: 1 });
    expect([created.status, created.json.data.title, created.json.data.content]).toEqual([201, text, text]);
    expect(created.headers.get('x-content-type-options')).toBe('nosniff');
    for (const turn of ['database', 'cache']) {
      const read = await given.service.get('/cache/posts/1');
      expect([read.json.source, read.json.data.title, read.json.data.content]).toEqual([turn, text, text]);
      expect(read.headers.get('x-content-type-options')).toBe('nosniff');
    }
    expect(await given.database.query('SELECT title, content FROM posts')).toEqual([[text, text]]);
  });

  test('the longest title and content that fit are taken, counted as the database counts', async () => {
    for (const [title, content] of [
      ['t'.repeat(255), 'c'.repeat(65_535)],
      // 255 characters, 510 UTF-16 code units, 1,020 bytes; 65,532 + 3 bytes.
      ['😀'.repeat(255), `${'😀'.repeat(16_383)}...`],
    ] as const) {
      const reply = await post(given, { title, content, user_id: 1 });
      expect(reply.status).toBe(201);
      const { data } = (await given.service.get(`/cache/posts/${reply.json.data.id}`)).json;
      expect(data.title === title && data.content === content).toBe(true);
    }
  });

  test.each([
    ['256 letters', 'title', 't'.repeat(256), 'title must be at most 255 characters long'],
    ['256 emoji', 'title', '😀'.repeat(256), 'title must be at most 255 characters long'],
    ['65,536 bytes', 'content', 'c'.repeat(65_536), 'content must be at most 65535 bytes long in UTF-8'],
    ['65,536 bytes of emoji', 'content', '😀'.repeat(16_384), 'content must be at most 65535 bytes long in UTF-8'],
  ])('%s are too many for the %s', async (_, field, text, message) => {
    const reply = await post(given, { ...valid, [field]: text });
    expect([reply.status, reply.json.message, complaints(reply)]).toEqual([400, message, { [field]: message }]);
    expect(await given.database.query('SELECT id FROM posts')).toEqual([]);
  });

  test('an unknown user_id is 422 and makes no row', async () => {
    for (const userId of [3, 9_007_199_254_740_991, '9007199254740993', '9223372036854775807']) {
      const reply = await post(given, { ...valid, user_id: userId });
      expect([userId, reply.status]).toEqual([userId, 422]);
      expect(reply.json).toMatchObject({
        code: 'UNKNOWN_REFERENCE',
        message: 'Unknown user_id: no such row',
        errors: [{ field: 'user_id', message: 'user_id refers to no row' }],
      });
    }
    expect(await given.database.query('SELECT id FROM posts')).toEqual([]);
    expect((await post(given, valid)).status).toBe(201);
  });
});
