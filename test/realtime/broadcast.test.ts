import { afterEach, expect, test } from '@jest/globals';
import { published } from '../harness/engine.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import type { Reply } from '../harness/service.ts';
import { describeService, embeddedStage, insertPost, type OnStage, serverStages } from '../harness/stage.ts';

const secret = 'the shared secret';
const environment = { REALTIME_API_SECRET: secret };

function broadcast(
  { service }: Pick<OnStage, 'service'>,
  body: unknown,
  headers = { 'x-internal-secret': secret },
): Promise<Reply> {
  return service.request('POST', '/internal/broadcast', body, headers);
}

const clients: LiveClient[] = [];

async function connect(url: string, transport = 'websocket'): Promise<LiveClient> {
  const client = await connectClient(url, { transports: [transport] });
  clients.push(client);
  return client;
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describeService('the secret of /internal/broadcast', { on: embeddedStage, environment }, (given) => {
  const wrong: [string, Record<string, string>][] = [
    ['none', {}],
    ['an empty one', { 'x-internal-secret': '' }],
    ['another', { 'x-internal-secret': 'another' }],
    ['its beginning', { 'x-internal-secret': secret.slice(0, -1) }],
    ['it and more', { 'x-internal-secret': `${secret}!` }],
    ['it in capitals', { 'x-internal-secret': secret.toUpperCase() }],
    ['it twice', { 'x-internal-secret': `${secret}, ${secret}` }],
    ['it under another name', { authorization: `Bearer ${secret}` }],
  ];

  test.each(wrong)('%s: 403, before the body is looked at; nothing is emitted or invalidated', async (_, headers) => {
    await insertPost(given.database, { id: 1 });
    const client = await connect(given.service.url);
    await given.service.get('/cache/posts/1');
    const asked = [
      await given.service.request('POST', '/internal/broadcast', { event: 'new_post', data: { id: 1 } }, headers),
      await given.service.request('POST', '/internal/broadcast', '{', headers),
      await given.service.request('POST', '/internal/broadcast', {}, headers),
      await given.service.request('POST', '/internal/broadcast', undefined, headers),
      await given.service.request('POST', '/internal/broadcast', 'text', { ...headers, 'content-type': 'text/plain' }),
      await given.service.request('POST', '/internal/broadcast', 'x'.repeat(300 * 1024), headers),
    ];
    for (const reply of asked) {
      expect(reply.status).toBe(403);
      expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(reply.json).toMatchObject({ code: 'BROADCAST_FORBIDDEN', message: 'Forbidden' });
    }
    expect((await given.service.get('/cache/posts/1')).json.source).toBe('cache');
    await broadcast(given, { event: 'end', data: null });
    await client.hears(1);
    expect(client.heard).toEqual([['end', null]]);
  });

  test('with no secret configured every request is 403', async () => {
    for (const environmentWithout of [{}, { REALTIME_API_SECRET: '' }]) {
      const service = await given.stage.beside({ environment: environmentWithout });
      for (const value of [undefined, '', 'undefined', secret]) {
        const headers: Record<string, string> = value === undefined ? {} : { 'x-internal-secret': value };
        const reply = await service.request('POST', '/internal/broadcast', { event: 'e', data: 1 }, headers);
        expect([value, reply.status]).toEqual([value, 403]);
      }
    }
  });
});

describeService('bodies of /internal/broadcast', { on: embeddedStage, environment }, (given) => {
  test.each<[string, unknown, string]>([
    ['no body', undefined, 'the body must be a JSON object'],
    ['an array', [], 'the body must be a JSON object'],
    ['no event', { data: 1 }, 'event is required'],
    ['no data', { event: 'e' }, 'data is required'],
    ['nothing', {}, 'event is required; data is required'],
    ['an event that is no string', { event: 5, data: 1 }, 'event must be a string'],
    ['null as event', { event: null, data: 1 }, 'event must be a string'],
    ['an empty event', { event: '', data: 1 }, 'event must not be blank'],
    ['a blank event', { event: ' \n', data: 1 }, 'event must not be blank'],
    ['an event too long', { event: 'e'.repeat(256), data: 1 }, 'event must be at most 255 characters long'],
    [
      'half a surrogate pair',
      '{"event":"\\ud800","data":1}',
      'event must be well-formed Unicode (it has half of a surrogate pair)',
    ],
    ['broken JSON', '{"event":', 'The body is not valid JSON'],
  ])('%s is 400', async (_, body, message) => {
    const reply = await broadcast(given, body);
    expect([reply.status, reply.json.message]).toEqual([400, message]);
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  });

  test.each(['connect', 'connect_error', 'disconnect', 'disconnecting', 'error', 'newListener', 'removeListener'])(
    'the event %s is reserved: 400, and nothing is emitted',
    async (event) => {
      const client = await connect(given.service.url);
      const reply = await broadcast(given, { event, data: { id: 1 } });
      expect(reply.status).toBe(400);
      expect(reply.json).toMatchObject({
        code: 'RESERVED_EVENT',
        message: `The event name "${event}" is reserved`,
      });
      await broadcast(given, { event: 'end', data: null });
      await client.hears(1);
      expect(client.heard).toEqual([['end', null]]);
    },
  );

  test('200 with exactly this answer, and every connected client hears the event with its data, in order', async () => {
    const connected = [
      await connect(given.service.url),
      await connect(given.service.url),
      await connect(given.service.url, 'polling'),
    ];
    const events: [string, unknown][] = [
      ['announcement', { text: 'שלום 😀 <b>', nested: { list: [1, null, 'x'] } }],
      ['counter', 42],
      ['flag', false],
      ['nothing', null],
      ['list', [1, [2]]],
      ['text', ''],
      ['ünï:códe/e v', 'e'.repeat(200_000)],
      ['Connect', 1],
      ['toString', {}],
      ['e'.repeat(255), 1],
    ];
    for (const [event, data] of events) {
      const reply = await broadcast(given, { event, data, extra: 'ignored' });
      expect([reply.status, reply.text]).toEqual([200, '{"message":"Broadcast successful"}']);
    }
    for (const client of connected) {
      await client.hears(events.length);
      expect(client.heard).toEqual(events);
    }
  });

  test('without any client it is 200 too', async () => {
    expect((await broadcast(given, { event: 'e', data: 1 })).status).toBe(200);
  });
});

describeService('invalidation by broadcast', { environment }, (given) => {
  const changes = [
    ['new_post', "INSERT INTO posts (id, title, content, user_id) VALUES (3, 'outside', 'c', 1)", 3, 200],
    ['post_updated', "UPDATE posts SET title = 'outside' WHERE id = 1", 1, 200],
    ['post_deleted', 'DELETE FROM posts WHERE id = 1', 1, 404],
  ] as const;

  test.each(changes)(
    '%s: a client that reads again the moment it hears of it sees the change',
    async (event, sql, id, status) => {
      for (const each of [1, 2]) await insertPost(given.database, { id: each });
      const paths = ['/cache/posts', '/cache/posts?limit=5', `/cache/posts/${id}`];
      for (const path of [...paths, '/cache/posts/2']) await given.service.get(path);
      const client = await connect(given.service.url);
      const refetched = new Promise<Reply[]>((resolve, reject) => {
        client.onEvent(() => {
          Promise.all([...paths, '/cache/posts/2'].map((path) => given.service.get(path))).then(resolve, reject);
        });
      });
      await given.database.execute(sql);
      expect((await given.service.get('/cache/posts')).json.source).toBe('cache');
      const reply = await broadcast(given, { event, data: { id, title: 'as the backend says' } });
      expect(reply.status).toBe(200);
      const [all, page, one, other] = await refetched;
      expect(client.heard).toEqual([[event, { id, title: 'as the backend says' }]]);
      const now = (await given.database.query('SELECT id, title FROM posts ORDER BY created_at DESC, id DESC')).map(
        (row) => row.map(String),
      );
      for (const list of [all, page]) {
        expect(list?.json.source).toBe('database');
        expect(list?.json.data.map((each: { id: number; title: string }) => [String(each.id), each.title])).toEqual(
          now,
        );
      }
      expect(one?.status).toBe(status);
      if (status === 200) expect(one?.json.data.title).toBe('outside');
      expect(other?.json.source).toBe('cache');
    },
  );

  test('the id may be a string of digits, also beyond 2^53', async () => {
    await insertPost(given.database, { id: 1 });
    for (const path of ['/cache/posts', '/cache/posts/1']) await given.service.get(path);
    await broadcast(given, { event: 'post_updated', data: { id: '1' } });
    expect((await given.service.get('/cache/posts/1')).json.source).toBe('database');
    expect((await given.service.get('/cache/posts')).json.source).toBe('database');
    const events = await published(() => broadcast(given, { event: 'post_updated', data: { id: '9007199254740993' } }));
    const names = ['post:9007199254740993', 'posts:rows:70368744177664', 'posts:all'];
    expect(events).toEqual([{ type: 'invalidate', names, reached: true, source: 'broadcast' }]);
  });

  test.each<[string, string, unknown]>([
    ['another event', 'comment_added', { id: 1 }],
    ['no id', 'new_post', { title: 't' }],
    ['null', 'new_post', null],
    ['a bare number', 'post_updated', 1],
    ['the id 0', 'post_updated', { id: 0 }],
    ['a fraction', 'post_updated', { id: 1.5 }],
    ['a word', 'post_updated', { id: '1; FLUSHALL' }],
    ['a list of ids', 'post_updated', { id: [1] }],
    ['another spelling', 'New_Post', { id: 1 }],
  ])('%s is emitted and invalidates nothing', async (_, event, data) => {
    await insertPost(given.database, { id: 1 });
    for (const path of ['/cache/posts', '/cache/posts/1']) await given.service.get(path);
    const client = await connect(given.service.url);
    expect((await broadcast(given, { event, data })).status).toBe(200);
    await client.hears(1);
    expect(client.heard).toEqual([[event, data]]);
    for (const path of ['/cache/posts', '/cache/posts/1'])
      expect((await given.service.get(path)).json.source).toBe('cache');
  });
});

describeService('order of invalidation and event', { on: serverStages, environment }, (given) => {
  test('the event waits for Redis: nobody hears it before what was cached is gone', async () => {
    await insertPost(given.database, { id: 1 });
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    await service.get('/cache/posts/1');
    const client = await connect(service.url);
    let leftAtEvent: Promise<number> | undefined;
    client.onEvent(() => {
      leftAtEvent ??= given.stage.redis?.exists('post:1', 'posts:all');
    });
    toRedis.delay(100);
    await broadcast({ service }, { event: 'post_updated', data: { id: 1 } });
    await client.hears(1);
    expect(await leftAtEvent).toBe(0);
  });
});
