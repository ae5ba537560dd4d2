import { afterEach, expect, test } from '@jest/globals';
import type { Service } from '../harness/service.ts';
import { connectClient, type LiveClient, type Place } from '../harness/live-client.ts';
import { eventually } from '../harness/eventually.ts';
import { describeService, serverStages } from '../harness/stage.ts';

const clients: LiveClient[] = [];
const headers = { 'x-internal-secret': 's' };
const environment = { REALTIME_API_SECRET: 's' };

async function connect(
  service: Service,
  auth: Record<string, unknown> = {},
  transport = 'websocket',
): Promise<LiveClient> {
  const client = await connectClient(service.url, { transports: [transport], auth });
  clients.push(client);
  return client;
}

async function broadcast(service: Service, ...all: unknown[]): Promise<void> {
  for (const data of all) {
    const { status } = await service.request('POST', '/internal/broadcast', { event: 'told', data }, headers);
    expect(status).toBe(200);
  }
}

const dataOf = ({ heard }: LiveClient): unknown[] => heard.map(([, data]) => data);
const lastPlace = ({ places }: LiveClient): Place => places.at(-1) as Place;
const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

/** Resolves once the service has said where the client stands. */
async function session(client: LiveClient): Promise<LiveClient['sessions'][number]> {
  await eventually(async () => client.sessions.length > 0);
  return client.sessions.at(-1) as LiveClient['sessions'][number];
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describeService('a client that was away', { environment }, (given) => {
  test('gets exactly what it missed, in order, and then hears what comes', async () => {
    const first = await connect(given.service, { epoch: null });
    expect(await session(first)).toMatchObject({
      recovered: false,
      epoch: expect.any(String),
      offset: expect.any(Number),
    });
    await broadcast(given.service, 1, 2);
    await first.hears(2);
    const { epoch, offset } = lastPlace(first);
    first.close();
    await broadcast(given.service, 3, 4, 5);
    for (const transport of ['websocket', 'polling']) {
      const again = await connect(given.service, { epoch, offset }, transport);
      expect(await session(again)).toMatchObject({ recovered: true, epoch });
      expect(dataOf(again)).toEqual([3, 4, 5]);
    }
    await broadcast(given.service, 6);
    await clients[2]?.hears(4);
    expect(dataOf(clients[2] as LiveClient)).toEqual([3, 4, 5, 6]);
  });

  test('its session tells where it stands, so that it misses nothing though it has heard of nothing yet', async () => {
    const { epoch, offset } = await session(await connect(given.service, { epoch: null }));
    await broadcast(given.service, 1);
    const again = await connect(given.service, { epoch, offset });
    expect((await session(again)).recovered).toBe(true);
    expect(dataOf(again)).toEqual([1]);
  });

  test.each([
    ['of another epoch', (place: Place) => ({ ...place, epoch: 'another' })],
    ['of the future', (place: Place) => ({ ...place, offset: place.offset + 1_000 })],
    ['that is none', () => ({ epoch: 7, offset: 'x' })],
    ['before the beginning', (place: Place) => ({ ...place, offset: -1 })],
  ])('with a position %s is told so, is sent nothing of before, and hears what comes', async (_what, change) => {
    const first = await connect(given.service);
    await broadcast(given.service, 1);
    await first.hears(1);
    const client = await connect(given.service, change(lastPlace(first)));
    expect((await session(client)).recovered).toBe(false);
    await broadcast(given.service, 2);
    await client.hears(1);
    expect(dataOf(client)).toEqual([2]);
  });

  test('while events go on coming: none is missing, none comes twice, none out of order', async () => {
    const first = await connect(given.service);
    await broadcast(given.service, 0);
    await first.hears(1);
    const { epoch, offset } = lastPlace(first);
    const over = new AbortController();
    const sending = (async () => {
      for (let count = 1; !over.signal.aborted; count += 1) await broadcast(given.service, count);
    })();
    for (let count = 0; count < 20; count += 1) await connect(given.service, { epoch, offset });
    const again = clients.slice(1);
    await Promise.all(again.map(session));
    over.abort();
    await sending;
    await broadcast(given.service, 'end');
    await Promise.all(again.map((client) => eventually(async () => dataOf(client).at(-1) === 'end')));
    await eventually(async () => dataOf(first).at(-1) === 'end');
    for (const client of again) {
      expect((await session(client)).recovered).toBe(true);
      expect(dataOf(client)).toEqual(dataOf(first).slice(1));
    }
  });

  test('whose session is older than the log is long: nothing is given in part', async () => {
    const service = await given.stage.beside({ environment: { ...environment, EVENT_LOG_ENTRIES: '5' } });
    const first = await connect(service, { epoch: null });
    const { epoch, offset } = await session(first);
    await broadcast(service, ...numbers(1, 6));
    await first.hears(6);
    // The service remembers more than the log holds.
    const remembered = await connect(service, { epoch, offset });
    expect((await session(remembered)).recovered).toBe(true);
    expect(dataOf(remembered)).toEqual(numbers(1, 6));
    const other = await given.stage.beside({ environment });
    const elsewhere = await connect(other, { epoch, offset });
    expect((await session(elsewhere)).recovered).toBe(false);
    expect(dataOf(elsewhere)).toEqual([]);
  });

  test('a plain client hears the same events, and of no session', async () => {
    const plain = await connect(given.service);
    await broadcast(given.service, 1);
    await plain.hears(1);
    expect(plain.heard).toEqual([['told', 1]]);
    expect(plain.sessions).toEqual([]);
  });
});

describeService('rooms', { environment }, (given) => {
  const write = async (title: string): Promise<number> =>
    (await given.service.request('POST', '/cache/posts', { title, content: 'c', user_id: 1 })).json.data.id;

  test('who subscribes to a row hears of it and of messages alone, who subscribes to the list of all its rows', async () => {
    const [one, all, list] = [await connect(given.service), await connect(given.service), await connect(given.service)];
    const id = await write('first');
    await Promise.all([one, all, list].map((client) => client.hears(1)));
    expect(await one.ask('subscribe', `post:${id}`)).toEqual({ ok: true });
    expect(await list.ask('subscribe', 'posts')).toEqual({ ok: true });
    await write('second');
    await given.service.request('PUT', `/cache/posts/${id}`, { title: 'changed' });
    await broadcast(given.service, 'message');
    await Promise.all([one.hears(3), all.hears(4), list.hears(4)]);
    expect(one.heard.map(([event]) => event)).toEqual(['new_post', 'post_updated', 'told']);
    expect(all.heard).toEqual(list.heard);
    expect(await one.ask('unsubscribe', `post:${id}`)).toEqual({ ok: true });
    await given.service.request('PUT', `/cache/posts/${id}`, { title: 'again' });
    await broadcast(given.service, 'message');
    await one.hears(4);
    expect(one.heard.at(-1)).toEqual(['told', 'message']);
  });

  test('what was missed is given by rooms too', async () => {
    const first = await connect(given.service, { epoch: null });
    const { epoch, offset } = await session(first);
    const id = await write('first');
    await write('second');
    await given.service.request('DELETE', `/cache/posts/${id}`);
    await first.hears(3);
    const again = await connect(given.service, { epoch, offset, rooms: [`post:${id}`, 'nonsense'] });
    expect((await session(again)).recovered).toBe(true);
    expect(again.heard.map(([event]) => event)).toEqual(['new_post', 'post_deleted']);
  });

  test('a name that is no room, one too many, and one that was not subscribed to are answered so', async () => {
    const client = await connect(given.service);
    for (const room of ['users', 'post:0', 7, null, { a: 1 }]) {
      expect(await client.ask('subscribe', room)).toEqual({ ok: false, message: expect.stringContaining('a room is') });
    }
    expect(await client.ask('unsubscribe', 'posts')).toEqual({ ok: false, message: expect.any(String) });
    const rooms = numbers(1, 90).map((id) => `post:${id}`);
    for (const room of rooms) client.send('subscribe', room);
    await eventually(async () => Object(await client.ask('subscribe', 'post:90')).ok);
    const many = await connect(given.service, { rooms: numbers(1, 100).map((id) => `post:${id}`) });
    expect(await many.ask('subscribe', 'posts')).toEqual({ ok: false, message: 'at most 100 rooms at a time' });
    expect(await many.ask('subscribe', 'post:100')).toEqual({ ok: true });
  });

  test('a client that talks too much is sent away', async () => {
    const client = await connect(given.service);
    for (let count = 0; count < 200; count += 1) client.send('subscribe', 'posts');
    expect(await client.disconnected).toBe('io server disconnect');
  });
});

describeService('on many instances', { on: serverStages, environment }, (given) => {
  test('all clients hear the same events in the same order, whoever they were sent through', async () => {
    const services = [
      given.service,
      await given.stage.beside({ environment }),
      await given.stage.beside({ environment }),
    ];
    for (const service of services) for (let count = 0; count < 3; count += 1) await connect(service);
    await Promise.all(
      services.map(
        async (service, index) => await broadcast(service, ...numbers(1, 30).map((each) => `${index}-${each}`)),
      ),
    );
    await Promise.all(clients.map((client) => client.hears(90)));
    const [first, ...others] = clients.map(({ heard, places }) => ({ heard, places }));
    for (const other of others) expect(other).toEqual(first);
    const offsets = first?.places.map(({ offset }) => offset) ?? [];
    expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  });

  test('who comes from another instance goes on where it was', async () => {
    const other = await given.stage.beside({ environment });
    const first = await connect(given.service, { epoch: null });
    await broadcast(other, 1, 2);
    await first.hears(2);
    const { epoch, offset } = lastPlace(first);
    await broadcast(given.service, 3);
    const again = await connect(other, { epoch, offset });
    expect((await session(again)).recovered).toBe(true);
    expect(dataOf(again)).toEqual([3]);
  });

  test('an instance that is younger than what was missed reads it from the log', async () => {
    const first = await connect(given.service, { epoch: null });
    const { epoch, offset } = await session(first);
    await broadcast(given.service, ...numbers(1, 450));
    await first.hears(450);
    const young = await given.stage.beside({ environment });
    const again = await connect(young, { epoch, offset });
    expect((await session(again)).recovered).toBe(true);
    expect(dataOf(again)).toEqual(numbers(1, 450));
    await broadcast(given.service, 'next');
    await again.hears(451);
  });

  test('a client that goes away while it catches up is forgotten', async () => {
    const first = await connect(given.service, { epoch: null });
    const { epoch, offset } = await session(first);
    await broadcast(given.service, 1, 2);
    await first.hears(2);
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    await session(await connect(service, { epoch: null }));
    toRedis.delay(100);
    const gone = await connect(service, { epoch, offset });
    gone.close();
    await gone.disconnected;
    toRedis.delay(0);
    const again = await connect(service, { epoch, offset });
    expect((await session(again)).recovered).toBe(true);
    expect([gone.heard, gone.sessions]).toEqual([[], []]);
  });

  test('an instance that cannot reach the log says that it does not know', async () => {
    const first = await connect(given.service, { epoch: null });
    const { epoch, offset } = await session(first);
    await broadcast(given.service, 1, 2);
    await first.hears(2);
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    await session(await connect(service, { epoch: null }));
    await toRedis.refuse();
    const again = await connect(service, { epoch, offset });
    expect((await session(again)).recovered).toBe(false);
    await toRedis.restore();
  });

  test('Redis is flushed: who understands is told to read anew, and everyone hears what comes', async () => {
    const [aware, plain] = [await connect(given.service, { epoch: null }), await connect(given.service)];
    const before = await session(aware);
    await broadcast(given.service, 1);
    await Promise.all([aware.hears(1), plain.hears(1)]);
    await given.stage.redis?.flushall();
    await broadcast(given.service, 2);
    await Promise.all([aware.hears(2), plain.hears(2)]);
    expect(aware.sessions.at(-1)).toMatchObject({ recovered: false });
    expect(aware.sessions.at(-1)?.epoch).not.toBe(before.epoch);
    expect(dataOf(plain)).toEqual([1, 2]);
    const again = await connect(given.service, { epoch: before.epoch, offset: before.offset });
    expect((await session(again)).recovered).toBe(false);
  });

  test('Redis is away: the own clients hear what comes, and when it is back all are told to read anew', async () => {
    const { service, toRedis } = await given.stage.behindProxies({ environment });
    const other = await given.stage.beside({ environment });
    const [here, there] = [await connect(service, { epoch: null }), await connect(other, { epoch: null })];
    await Promise.all([session(here), session(there)]);
    await toRedis.refuse();
    await broadcast(service, 'alone');
    await here.hears(1);
    expect(here.places[0]).toEqual({ epoch: null, offset: null, version: null });
    await toRedis.restore();
    await eventually(async () => here.sessions.length > 1 && there.sessions.length > 1);
    expect(there.sessions.at(-1)).toMatchObject({ recovered: false });
    await broadcast(service, 'together');
    await Promise.all([here.hears(2), there.hears(1)]);
    expect(dataOf(there)).toEqual(['together']);
  });
});
