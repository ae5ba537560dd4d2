import { describe, expect, test } from '@jest/globals';
import { type ClientOptions, createCacheClient } from '../../client/src/client.ts';
import { eventually, startService } from '../harness/service.ts';
import { ManualTiming, settle } from './manual-timing.ts';
import { SimulatedService } from './simulated-service.ts';

function open(options: Partial<ClientOptions> = {}) {
  const timing = new ManualTiming();
  const service = new SimulatedService(timing);
  const { fetch, openSocket } = service;
  const client = createCacheClient({ url: 'http://service/', fetch, openSocket, timing, ...options });
  /** Lets everything happen that needs no time. */
  const rest = async (): Promise<void> => {
    for (;;) {
      await settle();
      if (service.isIdle) return;
      service.append(0);
      service.deliver();
      service.read(0);
      service.answer(0);
    }
  };
  const live = async (): Promise<void> => {
    await settle();
    service.accept();
    await rest();
    await timing.advance(4_000);
    await rest();
  };
  return { client, timing, service, rest, live };
}

const titles = (snapshot: { readonly data: readonly { readonly title: string }[] | undefined }) =>
  snapshot.data?.map(({ title }) => title);

/** A list that somebody looks at, on its way to be read anew. */
async function openReadingAnew() {
  const opened = open();
  const list = opened.client.posts.list();
  list.subscribe(() => undefined);
  await opened.live();
  opened.service.renew();
  opened.service.deliver();
  await opened.timing.advance(1);
  return { ...opened, list };
}

describe('a collection', () => {
  test('is read when somebody subscribes, followed, and left alone when nobody does', async () => {
    const { client, service, live, rest } = open();
    service.insert(0);
    const list = client.posts.list();
    expect([list.getSnapshot().status, service.socket?.attempts]).toEqual(['loading', 0]);
    let calls = 0;
    const listener = (): void => void (calls += 1);
    const stops = [list.subscribe(listener), list.subscribe(listener)];
    await live();
    expect(titles(list.getSnapshot())).toEqual(['1.0']);
    expect(list.getSnapshot()).toBe(list.getSnapshot());
    const before = calls;
    service.update(0);
    await rest();
    expect(calls).toBe(before + 2);
    expect(titles(list.getSnapshot())).toEqual(['1.1']);
    for (const stop of [...stops, ...stops]) stop();
    service.update(0);
    await rest();
    expect(list.getSnapshot()).toMatchObject({ status: 'ready', isStale: true });
    expect(titles(list.getSnapshot())).toEqual(['1.1']);
    list.subscribe(listener);
    await live();
    expect(list.getSnapshot()).toMatchObject({ isStale: false });
    expect(titles(list.getSnapshot())).toEqual(['1.2']);
  });

  test('is the same object for the same question', () => {
    const { client } = open();
    expect(client.posts.list()).toBe(client.posts.list({}));
    expect(client.posts.list({ limit: 3 })).toBe(client.posts.list({ limit: 3 }));
    expect(client.posts.list({ limit: 3 })).not.toBe(client.posts.list());
    expect(client.posts.item(3)).toBe(client.posts.item('3'));
  });

  test('is forgotten when there are a thousand others, unless somebody looks', () => {
    const { client } = open();
    const [looked, idle] = [client.posts.item(1), client.posts.item(2)];
    looked.subscribe(() => undefined);
    for (let id = 3; id <= 1_001; id += 1) client.posts.item(id);
    expect(client.posts.item(1)).toBe(looked);
    expect(client.posts.item(2)).not.toBe(idle);
  });

  test('says why it cannot be read, and tries again with growing pauses, not before the service asks for it', async () => {
    const { client, timing, service, rest } = open();
    const list = client.posts.list();
    list.subscribe(() => undefined);
    const pauses: (number | undefined)[] = [];
    for (const status of [503, 503, 0, 0, 0, 0, 0, 0]) {
      await timing.advance(timing.nextMs ?? 0);
      service.fail(0, status);
      await settle();
      pauses.push(timing.nextMs);
    }
    expect(pauses).toEqual([1_000, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(list.getSnapshot()).toMatchObject({ status: 'failed', problem: { code: 'UNREACHABLE' } });
    await timing.advance(15_000);
    await rest();
    expect(list.getSnapshot()).toMatchObject({ status: 'ready', problem: undefined });
  });

  test('does not try again what cannot help, until it is read for another reason', async () => {
    const { list, timing, service, rest } = await openReadingAnew();
    service.fail(0, 400);
    await settle();
    expect(list.getSnapshot()).toMatchObject({ status: 'ready', isStale: false, problem: { status: 400 } });
    expect(timing.waiting).toBe(0);
    service.renew();
    service.deliver();
    await timing.advance(1);
    await rest();
    expect(list.getSnapshot().problem).toBe(undefined);
  });

  test('is read soon after the service can be reached again', async () => {
    const { list, timing, service, rest } = await openReadingAnew();
    for (let count = 0; count < 6; count += 1) {
      service.fail(0, 0);
      await settle();
      if (count < 5) await timing.advance(timing.nextMs ?? 0);
    }
    service.cut(false);
    service.accept();
    service.deliver();
    await timing.advance(250);
    await rest();
    expect(list.getSnapshot()).toMatchObject({ isStale: false, problem: undefined });
  });

  test('is read as a whole when many of its rows must be read', async () => {
    const { client, timing, service, live, rest } = open();
    for (let count = 0; count < 30; count += 1) service.insert(0);
    await rest();
    const list = client.posts.list();
    list.subscribe(() => undefined);
    await live();
    // Heard from one instance alone: what has changed is not believed before it is read.
    for (let pick = 0; pick < 30; pick += 1) {
      service.update(pick);
      service.tellHere(0, true);
      service.deliver();
    }
    expect(list.getSnapshot().isStale).toBe(true);
    await timing.advance(2_250);
    expect(service.waiting).toEqual(['/cache/posts']);
    await rest();
    expect(list.getSnapshot().data).toEqual(service.list());
  });

  test.each([
    ['a list, where a row was asked for', [], { list: 'ready', item: 'failed' }],
    ['a row that lacks members', [{ id: 1 }], { list: 'failed', item: 'failed' }],
    ['something else', 'rows', { list: 'failed', item: 'failed' }],
  ])('fails when the answer is %s', async (_, data, expected) => {
    const { client, timing } = open({ fetch: async () => new Response(JSON.stringify({ data })) });
    const [list, item] = [client.posts.list(), client.posts.item(1)];
    for (const each of [list, item]) each.subscribe(() => undefined);
    await timing.advance(0);
    expect({ list: list.getSnapshot().status, item: item.getSnapshot().status }).toEqual(expected);
    expect(item.getSnapshot().problem).toMatchObject({ code: 'UNEXPECTED', status: 0 });
  });
});

describe('what others broadcast', () => {
  const news = { epoch: '1', offset: 50, version: 50 };

  test.each([
    ['names the row alone', { id: 1 }],
    ['is no row of the service', { id: '1', title: 7 }],
    ['lacks members', { id: 1, title: 'forged' }],
  ])('makes the row be read when it %s', async (_, data) => {
    const { client, timing, service, live, rest } = open();
    service.insert(0);
    const list = client.posts.list();
    list.subscribe(() => undefined);
    await live();
    service.changeSilently(1);
    service.socket?.hear('post_updated', data, news);
    await timing.advance(250);
    expect(service.waiting).toEqual(['/cache/posts/1']);
    await rest();
    expect(titles(list.getSnapshot())).toEqual(['1.1']);
  });

  test('makes everything be read when it names no row', async () => {
    const { client, timing, service, live } = open();
    client.posts.list().subscribe(() => undefined);
    await live();
    service.socket?.hear('new_post', 'something', news);
    await timing.advance(2_000);
    expect(service.waiting).toEqual(['/cache/posts']);
  });

  test('is told to who asked for events, and changes nothing', async () => {
    const { client, service, live } = open();
    const heard: unknown[] = [];
    const stop = client.onEvent((event, data) => heard.push([event, data]));
    await live();
    service.socket?.hear('announcement', 'hello', news);
    stop();
    service.socket?.hear('announcement', 'again', { ...news, offset: 51 });
    expect(heard).toEqual([['announcement', 'hello']]);
  });
});

describe('the state', () => {
  test('is told when it changes, and is the same object until then', async () => {
    const { client, service, live } = open();
    const states: unknown[] = [];
    const stop = client.state.subscribe(() => states.push(client.state.getSnapshot()));
    client.posts.list().subscribe(() => undefined);
    expect(client.state.getSnapshot()).toBe(client.state.getSnapshot());
    await live();
    service.cut(false);
    client.close();
    expect(states).toEqual([
      { name: 'catching up' },
      { name: 'live' },
      { name: 'offline', reason: 'connection lost' },
      { name: 'offline', reason: 'closed' },
    ]);
    stop();
  });

  test('is not live while something is read', async () => {
    const { client, timing, live, rest } = open();
    client.posts.list().subscribe(() => undefined);
    await live();
    client.posts.item(1).subscribe(() => undefined);
    expect(client.state.getSnapshot()).toEqual({ name: 'catching up' });
    await timing.advance(0);
    expect(client.state.getSnapshot()).toEqual({ name: 'catching up' });
    await rest();
    expect(client.state.getSnapshot()).toEqual({ name: 'live' });
  });
});

describe('a write', () => {
  const user = { id: 1, name: 'Ada', email: 'ada@example.com' };
  const row = { id: 1, title: 't', content: 'c', created_at: null, updated_at: null, user_id: 1, user };

  function openWriting(data: unknown = row) {
    const asked: { url: string; init: RequestInit }[] = [];
    const opened = open({
      fetch: async (input, init = {}) => {
        asked.push({ url: new Request(input).url, init });
        return new Response(JSON.stringify({ data }));
      },
    });
    return { ...opened, asked };
  }

  test('resolves with the row', async () => {
    const { client, asked } = openWriting();
    const fields = { title: 't', content: 'c', user_id: 1 };
    expect(await client.posts.create(fields, { idempotencyKey: 'k' })).toEqual(row);
    expect(await client.posts.create(fields)).toEqual(row);
    expect(await client.posts.update(1, { title: 'u' })).toEqual(row);
    expect(await client.posts.remove('1')).toBe(undefined);
    const sent = asked.map(({ url, init }) => [init.method, url, init.body]);
    expect(sent).toEqual([
      ['POST', 'http://service/cache/posts', JSON.stringify(fields)],
      ['POST', 'http://service/cache/posts', JSON.stringify(fields)],
      ['PUT', 'http://service/cache/posts/1', '{"title":"u"}'],
      ['DELETE', 'http://service/cache/posts/1', '{}'],
    ]);
    expect(asked.map(({ init }) => new Headers(init.headers).get('idempotency-key'))).toEqual(['k', null, null, null]);
  });

  test('is read by who hears nothing', async () => {
    const { client, timing, asked } = openWriting();
    client.posts.item(1).subscribe(() => undefined);
    await timing.advance(0);
    await client.posts.update(1, { title: 'u' });
    await timing.advance(2_250);
    expect(asked.map(({ init }) => init.method ?? 'GET')).toEqual(['GET', 'PUT', 'GET']);
  });

  test('rejects when the answer is no row', async () => {
    const { client } = openWriting('nothing');
    await expect(client.posts.update(1, {})).rejects.toMatchObject({ code: 'UNEXPECTED', status: 0 });
  });
});

describe('rooms', () => {
  test('are told in the handshake, and nothing else can be looked at', async () => {
    const { client, service } = open({ rooms: ['post:7'] });
    client.posts.item(7).subscribe(() => undefined);
    expect(service.socket?.auth()).toEqual({ epoch: null, rooms: ['post:7'] });
    expect(() => client.posts.item(8)).toThrow('hears nothing of post:8');
    expect(() => client.posts.list()).toThrow('hears nothing of posts');
  });

  test.each([[[]], [Array.from({ length: 101 }, (_, id) => `post:${id + 1}`)]])('are 1 to 100', (rooms) => {
    expect(() => open({ rooms })).toThrow('1 to 100 rooms');
  });
});

describe('what cannot be is refused', () => {
  test.each([0, 101, 1.5, Number.NaN])('a limit of %d', (limit) => {
    expect(() => open().client.posts.list({ limit })).toThrow(TypeError);
  });

  test.each([0, -1, 'x', '1/2', 1.5])('the id %s', (id) => {
    expect(() => open().client.posts.item(id)).toThrow(TypeError);
  });

  test.each([
    ['nowhere', 'Invalid URL'],
    ['ftp://service', 'http or https'],
  ])('the url %s', (url, message) => {
    expect(() => open({ url })).toThrow(message);
  });
});

test('a client that was closed reads and connects no more', async () => {
  const { client, timing, service, live } = open();
  const list = client.posts.list();
  list.subscribe(() => undefined);
  await live();
  client.close();
  list.subscribe(() => undefined);
  await timing.advance(60_000);
  expect(list.getSnapshot().problem).toMatchObject({ code: 'CLOSED' });
  expect([timing.waiting, service.isIdle, service.socket?.active]).toEqual([0, true, false]);
});

test('it needs nothing but the url', async () => {
  const service = await startService({});
  const client = createCacheClient({ url: service.url });
  const item = client.posts.item(2);
  const stop = item.subscribe(() => undefined);
  try {
    await eventually(async () => client.state.getSnapshot().name === 'live');
    expect(item.getSnapshot().data?.title).toBe('Read it twice');
    await client.posts.update(2, { title: 'Changed' });
    await eventually(async () => item.getSnapshot().data?.title === 'Changed');
    await client.posts.remove(2);
    await eventually(async () => item.getSnapshot().data === null);
  } finally {
    stop();
    client.close();
    await service.stop();
  }
});
