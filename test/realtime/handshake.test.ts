import { afterEach, expect, test } from '@jest/globals';
import { trackLeaks } from '../harness/leaks.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { describeService, embeddedStage } from '../harness/stage.ts';

/** Who may connect. Nothing of it depends on a backend. */

const origins = ['http://localhost:5173', 'https://app.example.com'];
const transports = ['websocket', 'polling'] as const;
const foreign = [
  'http://evil.example',
  'http://localhost:5174',
  'https://localhost:5173',
  'https://app.example.com.evil.example',
  'https://APP.example.com',
  'null',
  '',
];

const clients: LiveClient[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
});

describeService(
  'the handshake',
  { on: embeddedStage, environment: { FRONTEND_URL: origins.join(', '), REALTIME_API_SECRET: 's' } },
  (given) => {
    async function connect(transport: string, origin: string | undefined): Promise<LiveClient> {
      const client = await connectClient(given.service.url, {
        transports: [transport],
        ...(origin === undefined ? {} : { extraHeaders: { Origin: origin } }),
      });
      clients.push(client);
      return client;
    }

    test.each(transports.flatMap((transport) => foreign.map((origin) => [transport, origin] as const)))(
      'by %s from the origin "%s" is refused',
      async (transport, origin) => {
        await expect(connect(transport, origin)).rejects.toThrow(
          transport === 'websocket' ? 'websocket error' : 'xhr poll error',
        );
      },
    );

    test.each(transports.flatMap((transport) => [...origins, undefined].map((origin) => [transport, origin] as const)))(
      'by %s from the origin %s is let in, and events arrive',
      async (transport, origin) => {
        const client = await connect(transport, origin);
        const headers = { 'x-internal-secret': 's' };
        await given.service.request('POST', '/internal/broadcast', { event: 'hello', data: 1 }, headers);
        await client.hears(1);
        expect(client.heard).toEqual([['hello', 1]]);
      },
    );

    test('a refusal says why; an allowed page may read the answer, a foreign one may not', async () => {
      const path = '/socket.io/?EIO=4&transport=polling';
      const refused = await given.service.get(path, { origin: 'http://evil.example' });
      expect(refused.status).toBe(403);
      expect(refused.json.message).toBe('this origin may not connect; add it to FRONTEND_URL');
      expect(refused.headers.get('access-control-allow-origin')).not.toBe('http://evil.example');
      const origin = origins[0] ?? '';
      const allowed = await given.service.get(path, { origin });
      expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([200, origin]);
      expect(allowed.text).toMatch(/^0\{"sid":/);
    });

    test('the script of the client is not served', async () => {
      expect((await given.service.get('/socket.io/socket.io.js')).status).not.toBe(200);
    });

    test.each(transports)(
      'by %s: when the service stops, the connection ends in a way that makes the client come back',
      async (transport) => {
        const service = await given.stage.beside();
        const client = await connectClient(service.url, {
          transports: [transport],
          reconnection: true,
          reconnectionDelay: 60_000,
        });
        clients.push(client);
        const left = client.disconnected;
        await service.stop();
        // A client that hears 'io server disconnect' stays away for ever.
        expect(await left).toMatch(/^transport (close|error)$/);
        expect(client.willReconnect).toBe(true);
      },
    );

    test('a client between two polls does not keep the service from stopping, nor the process from ending', async () => {
      const service = await given.stage.beside();
      const leaks = trackLeaks();
      // It never polls: its session is open, and there is no request to answer.
      const opened = await service.get('/socket.io/?EIO=4&transport=polling');
      expect(opened.status).toBe(200);
      await service.stop();
      await leaks.check();
    });
  },
);
