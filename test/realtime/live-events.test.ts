import { afterEach, expect, test } from '@jest/globals';
import type { Row } from '../../src/database/database.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import type { Reply } from '../harness/service.ts';
import { describeService, insertPost } from '../harness/stage.ts';

const clients: LiveClient[] = [];

async function connect(url: string, transport = 'websocket'): Promise<LiveClient> {
  const client = await connectClient(url, { transports: [transport] });
  clients.push(client);
  return client;
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describeService('live events of writes', {}, (given) => {
  test('new_post and post_updated carry the post, post_deleted its id; every client hears them in order', async () => {
    const connected = [await connect(given.service.url), await connect(given.service.url, 'polling')];
    const created = await given.service.request('POST', '/cache/posts', { title: 'שלום 😀', content: 'c', user_id: 1 });
    const updated = await given.service.request('PUT', '/cache/posts/1', { title: 'new' });
    await given.service.request('DELETE', '/cache/posts/1', { user_id: 1 });
    for (const client of connected) {
      await client.hears(3);
      expect(client.heard).toEqual([
        ['new_post', created.json.data],
        ['post_updated', updated.json.data],
        ['post_deleted', { id: 1 }],
      ]);
    }
  });

  test('a client that reads the moment it hears of a change sees it, through the service and past it', async () => {
    await insertPost(given.database, { id: 1 });
    const client = await connect(given.service.url);
    const seen: Promise<{ row: Row | undefined; one: Reply; all: Reply }>[] = [];
    client.onEvent((_event, data) => {
      const { id } = Object(data);
      const look = async () => {
        const [[row], one, all] = await Promise.all([
          given.database.query('SELECT title FROM posts WHERE id = ?', [id]),
          given.service.get(`/cache/posts/${id}`),
          given.service.get('/cache/posts'),
        ]);
        return { row, one, all };
      };
      seen.push(look());
    });
    const ids = ({ json }: Reply): number[] => json.data.map(({ id }: { id: number }) => id);

    for (const path of ['/cache/posts', '/cache/posts/1', '/cache/posts/2']) await given.service.get(path);
    await given.service.request('POST', '/cache/posts', { title: 'second', content: 'c', user_id: 1 });
    await client.hears(1);
    const created = await seen[0];
    expect([created?.row, created?.one.json.data?.title]).toEqual([['second'], 'second']);
    expect(created === undefined ? [] : ids(created.all)).toEqual([2, 1]);

    await given.service.request('PUT', '/cache/posts/1', { title: 'changed' });
    await client.hears(2);
    const updated = await seen[1];
    expect([updated?.row, updated?.one.json.data?.title]).toEqual([['changed'], 'changed']);

    await given.service.request('DELETE', '/cache/posts/1');
    await client.hears(3);
    const deleted = await seen[2];
    expect([deleted?.row, deleted?.one.status]).toEqual([undefined, 404]);
    expect(deleted === undefined ? [] : ids(deleted.all)).toEqual([2]);
  });

  test('a write that fails, changes nothing or was answered before makes no event', async () => {
    await insertPost(given.database, { id: 1 });
    const headers = { 'idempotency-key': 'key-1' };
    const body = { title: 't', content: 'c', user_id: 1 };
    const earlier = await connect(given.service.url);
    await given.service.request('POST', '/cache/posts', body, headers);
    await earlier.hears(1);
    const client = await connect(given.service.url);
    const statuses = [
      await given.service.request('POST', '/cache/posts', body, headers),
      await given.service.request('POST', '/cache/posts', { ...body, user_id: 9 }),
      await given.service.request('POST', '/cache/posts', { ...body, title: '' }),
      await given.service.request('PUT', '/cache/posts/1', { title: 'Title 1' }),
      await given.service.request('PUT', '/cache/posts/1', { title: 'x' }, { 'if-match': '"other"' }),
      await given.service.request('PUT', '/cache/posts/7', { title: 'x' }),
      await given.service.request('DELETE', '/cache/posts/1', { user_id: 2 }),
      await given.service.request('DELETE', '/cache/posts/7'),
    ].map(({ status }) => status);
    expect(statuses).toEqual([201, 422, 400, 200, 412, 404, 403, 404]);
    await given.service.request('DELETE', '/cache/posts/1');
    await client.hears(1);
    expect(client.heard).toEqual([['post_deleted', { id: 1 }]]);
  });

  test('of concurrent duplicates with one Idempotency-Key one event is heard', async () => {
    const client = await connect(given.service.url);
    const body = { title: 't', content: 'c', user_id: 1 };
    await Promise.all(
      Array.from({ length: 8 }, () =>
        given.service.request('POST', '/cache/posts', body, { 'idempotency-key': 'key-1' }),
      ),
    );
    const [{ id }] = (await given.service.get('/cache/posts')).json.data;
    await given.service.request('DELETE', `/cache/posts/${id}`);
    await client.hears(2);
    expect(client.heard.map(([event]) => event)).toEqual(['new_post', 'post_deleted']);
  });

  test('an id beyond 2^53 is heard with all its digits', async () => {
    const id = '9007199254740993';
    await given.database.execute(
      `INSERT INTO posts (id, title, content, user_id) VALUES (${given.database.dialect.integer}, 't', 'c', 1)`,
      [id],
    );
    const client = await connect(given.service.url);
    await given.service.request('DELETE', `/cache/posts/${id}`);
    await client.hears(1);
    expect(client.heard).toEqual([['post_deleted', { id }]]);
  });
});
