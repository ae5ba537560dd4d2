import { afterEach, expect, test } from '@jest/globals';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { describeService, embeddedStage } from '../harness/stage.ts';

/** What one client may take of the service. Nothing of it depends on a backend. */

const clients: LiveClient[] = [];
const headers = { 'x-internal-secret': 's' };
const on = embeddedStage;

async function connect(url: string, extraHeaders: Record<string, string> = {}, auth = {}): Promise<LiveClient> {
  const client = await connectClient(url, { extraHeaders, auth });
  clients.push(client);
  return client;
}

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describeService('connections of one address', { on, environment: { SOCKETS_PER_ADDRESS: '2' } }, (given) => {
  test('are limited; one that has ended makes room', async () => {
    const { url } = given.service;
    const first = await connect(url);
    // What a client says of its address is not believed.
    await connect(url, { 'X-Forwarded-For': '192.0.2.1' });
    await expect(connect(url, { 'X-Forwarded-For': '192.0.2.2' })).rejects.toThrow('websocket error');
    const refused = await given.service.get('/socket.io/?EIO=4&transport=polling');
    expect([refused.status, refused.json.message]).toEqual([
      403,
      'too many connections from this address; see SOCKETS_PER_ADDRESS and TRUSTED_PROXIES',
    ]);
    first.close();
    const third = await connectAgain(url);
    expect(third.heard).toEqual([]);
  });

  /** The service learns a moment later that a connection has ended. */
  async function connectAgain(url: string): Promise<LiveClient> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await connect(url);
      } catch (error) {
        if (attempt === 100) throw error;
      }
    }
  }
});

describeService(
  'connections behind a proxy that is trusted',
  { on, environment: { SOCKETS_PER_ADDRESS: '1', TRUSTED_PROXIES: '127.0.0.0/8, ::1' } },
  (given) => {
    test('are limited by the address that the proxy tells', async () => {
      const { url } = given.service;
      await connect(url, { 'X-Forwarded-For': '192.0.2.1' });
      await connect(url, { 'X-Forwarded-For': '192.0.2.2' });
      await expect(connect(url, { 'X-Forwarded-For': '203.0.113.9, 192.0.2.2' })).rejects.toThrow('websocket error');
    });
  },
);

describeService('a client that does not read', { on, environment: { REALTIME_API_SECRET: 's' } }, (given) => {
  test('is cut off once too much is on its way to it; the others hear everything', async () => {
    const [slow, quick] = [await connect(given.service.url), await connect(given.service.url)];
    const goOn = slow.stopReading();
    const data = 'x'.repeat(200_000);
    let isCut = false;
    void slow.disconnected.then(() => {
      isCut = true;
    });
    // The kernel takes some megabytes on the way.
    const sent = 100;
    for (let count = 0; count < sent; count += 1) {
      await given.service.request('POST', '/internal/broadcast', { event: 'large', data }, headers);
      await quick.hears(count + 1);
    }
    expect(isCut).toBe(false);
    goOn();
    await slow.disconnected;
    expect(slow.heard.length).toBeLessThan(sent);
    expect(quick.heard).toHaveLength(sent);
  });
});

describeService('a service that stops', { on }, (given) => {
  test('tells clients that understand it for how long to stay away', async () => {
    const service = await given.stage.beside();
    const [aware, plain] = [await connect(service.url, {}, { epoch: null }), await connect(service.url)];
    await service.stop();
    expect(await aware.disconnected).toBe('transport close');
    expect(aware.heard).toEqual([['energex:drain', { delayMs: expect.any(Number) }]]);
    await plain.disconnected;
    expect(plain.heard).toEqual([]);
  });

  test('with many clients sends them away one by one, not all at once', async () => {
    const service = await given.stage.beside();
    for (let count = 0; count < 120; count += 1) await connect(service.url);
    const left: number[] = [];
    for (const client of clients) void client.disconnected.then(() => left.push(performance.now()));
    const stopping = service.stop();
    await expect(connectClient(service.url)).rejects.toThrow('websocket error');
    await stopping;
    await Promise.all(clients.map(({ disconnected }) => disconnected));
    expect(Math.max(...left) - Math.min(...left)).toBeGreaterThan(20);
  });
});
