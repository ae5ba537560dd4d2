import { expect, test } from '@jest/globals';
import { describeService, grace, insertPost, standardPost } from '../harness/stage.ts';

/** The titles and contents in the table, by id. */
const rows = 'SELECT id, title, content FROM posts ORDER BY id';

describeService('changing a post', {}, (given) => {
  test('200 with exactly these members; a field left out keeps its value; updated_at is now, created_at stays', async () => {
    await insertPost(given.database, { id: 1 });
    const began = Math.floor(Date.now() / 1000) * 1000;
    const reply = await given.service.request('PUT', '/cache/posts/1', { title: 'New' });
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(reply.json).toEqual({
      message: 'Post updated successfully',
      data: {
        ...standardPost(1),
        title: 'New',
        updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      },
      source: 'database',
    });
    const updatedAt = Date.parse(reply.json.data.updated_at);
    expect(updatedAt >= began && updatedAt <= Date.now()).toBe(true);
    const second = await given.service.request('PUT', '/cache/posts/1', { content: 'Other' });
    expect(second.json.data).toMatchObject({ title: 'New', content: 'Other', created_at: '2025-01-01T00:00:00Z' });
    const both = await given.service.request('PUT', '/cache/posts/1', { title: 'T', content: 'C' });
    expect(both.json.data).toMatchObject({ title: 'T', content: 'C' });
    expect((await given.database.query(rows)).map((row) => row.map(String))).toEqual([['1', 'T', 'C']]);
  });

  test('after the answer every reader sees the new post; other posts stay cached', async () => {
    for (const id of [1, 2]) await insertPost(given.database, { id });
    const paths = ['/cache/posts', '/cache/posts?limit=2', '/cache/posts/1', '/cache/posts/2'];
    for (const path of paths) await given.service.get(path);
    const { data } = (await given.service.request('PUT', '/cache/posts/1', { title: 'New' })).json;
    const answers = await Promise.all(paths.map(async (path) => (await given.service.get(path)).json));
    expect(answers.map(({ source }) => source)).toEqual(['database', 'database', 'database', 'cache']);
    expect(answers[0].data).toContainEqual(data);
    expect(answers[1].data).toContainEqual(data);
    expect(answers[2].data).toEqual(data);
    expect(answers[3].data).toEqual(standardPost(2));
  });

  test('what cannot be changed is ignored: id, owner, times', async () => {
    await insertPost(given.database, { id: 1 });
    const body = { title: 'New', id: 9, user_id: grace.id, created_at: '2001-01-01T00:00:00Z', user: grace };
    const reply = await given.service.request('PUT', '/cache/posts/1', body);
    expect(reply.json.data).toEqual({ ...standardPost(1), title: 'New', updated_at: reply.json.data.updated_at });
  });

  test('values that are there already are 200, change nothing and leave the cache as it is', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts/1');
    const reply = await given.service.request('PUT', '/cache/posts/1', { title: 'Title 1', content: 'Content 1' });
    expect([reply.status, reply.json.data]).toEqual([200, standardPost(1)]);
    expect((await given.service.get('/cache/posts/1')).json.source).toBe('cache');
  });

  test('a change of case, of accents or of trailing white space is a change', async () => {
    await insertPost(given.database, { id: 1, title: 'cafe' });
    for (const title of ['CAFE', 'café', 'café ']) {
      await given.service.request('PUT', '/cache/posts/1', { title });
      expect((await given.service.get('/cache/posts/1')).json.data.title).toBe(title);
    }
  });

  test('a post that is not there is 404', async () => {
    for (const id of ['7', '9007199254740993', '18446744073709551615']) {
      const reply = await given.service.request('PUT', `/cache/posts/${id}`, { title: 'New' });
      expect([reply.status, reply.json.message]).toEqual([404, 'Post not found']);
    }
  });
});

describeService('deleting a post', {}, (given) => {
  test('200 with exactly these members; the row is gone, and so is what was cached of it', async () => {
    for (const id of [1, 2]) await insertPost(given.database, { id });
    const paths = ['/cache/posts', '/cache/posts?limit=2', '/cache/posts/1', '/cache/posts/2'];
    for (const path of paths) await given.service.get(path);
    const reply = await given.service.request('DELETE', '/cache/posts/1', { user_id: 1 });
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(reply.json).toEqual({ message: 'Post deleted successfully', postId: 1, source: 'database' });
    const [all, page, one, other] = await Promise.all(paths.map((path) => given.service.get(path)));
    expect(all?.json).toMatchObject({ data: [standardPost(2)], source: 'database' });
    expect(page?.json).toMatchObject({ data: [standardPost(2)], source: 'database' });
    expect([one?.status, one?.json.message]).toEqual([404, 'Post not found']);
    expect(other?.json).toMatchObject({ data: standardPost(2), source: 'cache' });
    expect((await given.database.query(rows)).map((row) => String(row[0]))).toEqual(['2']);
  });

  test('only the owner, when one is given: 403, and the post stays', async () => {
    await insertPost(given.database, { id: 1 });
    for (const userId of [2, '2', 99, '9007199254740993']) {
      const reply = await given.service.request('DELETE', '/cache/posts/1', { user_id: userId });
      expect([reply.status, reply.json.code, reply.json.message]).toEqual([
        403,
        'NOT_OWNER',
        'Only the owner may delete this post',
      ]);
    }
    expect((await given.service.get('/cache/posts/1')).status).toBe(200);
    expect((await given.service.request('DELETE', '/cache/posts/1', { user_id: '1' })).status).toBe(200);
  });

  test('without a user_id anyone may: no body, an empty one, an empty object, other members', async () => {
    for (const [index, body] of [undefined, '', '{}', 'null', { reason: 'spam' }].entries()) {
      const id = index + 1;
      await insertPost(given.database, { id });
      const reply = await given.service.request('DELETE', `/cache/posts/${id}`, body);
      expect(reply.json).toEqual({ message: 'Post deleted successfully', postId: id, source: 'database' });
    }
    expect(await given.database.query(rows)).toEqual([]);
  });

  test('a post that is not there is 404, also a second time and whoever asks', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.request('DELETE', '/cache/posts/1', { user_id: 1 });
    for (const [id, userId] of [
      [1, 1],
      [1, 2],
      [7, 1],
    ]) {
      const reply = await given.service.request('DELETE', `/cache/posts/${id}`, { user_id: userId });
      expect([reply.status, reply.json.message]).toEqual([404, 'Post not found']);
    }
  });

  test('of many who delete the same post one does', async () => {
    await insertPost(given.database, { id: 1 });
    const replies = await Promise.all(
      Array.from({ length: 8 }, () => given.service.request('DELETE', '/cache/posts/1', { user_id: 1 })),
    );
    expect(replies.map(({ status }) => status).toSorted()).toEqual([200, 404, 404, 404, 404, 404, 404, 404]);
  });
});
