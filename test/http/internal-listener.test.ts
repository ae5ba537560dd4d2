import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from '@jest/globals';
import { findFreePort } from '../harness/free-port.ts';
import { connectClient } from '../harness/live-client.ts';
import { eventually, type Service, startService } from '../harness/service.ts';
import { describeService } from '../harness/stage.ts';
import { stopAfterEach } from '../harness/stops.ts';

const stops = stopAfterEach();
const secret = 'the secret of the backend';
const operator = 'the secret of the operators';
const environment = { INTERNAL_PORT: '0', REALTIME_API_SECRET: secret, OPERATOR_SECRET: operator };
const headers = { 'x-internal-secret': secret };

function internalOf({ internalUrl }: Service): string {
  if (internalUrl === undefined) throw new Error('there is no internal listener');
  return internalUrl;
}

describeService('with a second port', { environment }, (given) => {
  const ask = (path: string, options: RequestInit = {}) => fetch(internalOf(given.service) + path, options);
  const hidden: readonly (readonly [string, string])[] = [
    ['GET', '/metrics'],
    ['HEAD', '/metrics'],
    ['GET', '/livez'],
    ['GET', '/readyz?verbose'],
    ['GET', '/internal/stats'],
    ['POST', '/internal/broadcast'],
    ['GET', '/dashboard'],
    ['GET', '/dashboard/'],
    ['GET', '/dashboard/index.html'],
    ['GET', '/dashboard/api/session'],
    ['POST', '/dashboard/api/session'],
    ['GET', '/dashboard/api/metrics'],
    ['GET', '/dashboard/assets/x.js'],
    ['DELETE', '/metrics'],
    ['PATCH', '/internal/broadcast'],
  ];

  test.each(hidden)('%s %s is on the public port what a path is that does not exist', async (method, path) => {
    const body = method === 'POST' ? JSON.stringify({ event: 'e', data: 1 }) : undefined;
    const sent = { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const asked = async (at: string) => {
      const response = await fetch(given.service.url + at, {
        method,
        headers: sent,
        ...(body === undefined ? {} : { body }),
      });
      const { date: _date, 'content-length': _length, ...told } = Object.fromEntries(response.headers);
      return [response.status, told, (await response.text()).replace(/"requestId":"[^"]+"/, '')];
    };
    const reply = await asked(path);
    expect(reply[0]).toBe(404);
    expect(reply).toEqual(await asked('/no-such-path'));
  });

  test.each([
    '//metrics',
    '/metrics/',
    '/metrics?',
    '/METRICS',
    '/%6detrics',
    '/./metrics',
    '/x/../metrics',
    '/metrics;x',
    '/metrics#x',
  ])('however it is written: %s', async (path) => {
    const socket = connect(given.service.port, '127.0.0.1');
    socket.end(`GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 404 /);
  });

  test('on the internal port they are what they are otherwise', async () => {
    expect(await (await ask('/livez')).text()).toBe('ok');
    expect(await (await ask('/readyz')).text()).toBe('ok');
    expect(await (await ask('/metrics')).text()).toContain('energex_cache_requests_total');
    expect((await ask('/internal/stats', { headers })).status).toBe(200);
    expect((await ask('/internal/stats')).status).toBe(403);
    expect((await ask('/dashboard/api/metrics')).status).toBe(401);
    const login = await ask('/dashboard/api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ secret: operator }),
    });
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    expect((await ask('/dashboard/api/metrics', { headers: { cookie } })).status).toBe(200);
  });

  test('health, reads, writes and documents are on both', async () => {
    for (const path of ['/cache/health', '/cache/posts', '/openapi.json', '/asyncapi.json', '/docs/']) {
      const [outside, inside] = await Promise.all([fetch(given.service.url + path), ask(path)]);
      await Promise.all([outside.text(), inside.text()]);
      expect([path, outside.status, inside.status]).toEqual([path, 200, 200]);
    }
    expect((await ask('/nowhere')).status).toBe(404);
  });

  test('a broadcast from inside is heard outside, and live events inside too', async () => {
    const url = internalOf(given.service);
    const login = await ask('/dashboard/api/session', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ secret: operator }),
    });
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    // The page of the dashboard comes from the internal port, and so do its events: by WebSocket and by polling.
    const clients = [
      await connectClient(given.service.url),
      await connectClient(url, { extraHeaders: { origin: url, cookie } }),
      await connectClient(url, { extraHeaders: { origin: url, cookie }, transports: ['polling'] }),
    ];
    await ask('/internal/broadcast', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ event: 'said', data: 1 }),
    });
    for (const client of clients) {
      await client.hears(1);
      expect(client.heard).toEqual([['said', 1]]);
      client.close();
    }
  });

  test('what is no HTTP is refused there as well', async () => {
    const socket = connect(Number(new URL(internalOf(given.service)).port), '127.0.0.1');
    socket.end('nonsense\r\n\r\n');
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 .*"code":"BAD_REQUEST"/s);
  });
});

describe('the internal listener', () => {
  test('is not there without INTERNAL_PORT: everything is on one port', async () => {
    const service = await startService({});
    stops.push(service.stop);
    expect([service.internalUrl, (await service.get('/livez')).status]).toEqual([undefined, 200]);
  });

  test('a port that is taken is told, and nothing is left', async () => {
    const first = await startService({});
    stops.push(first.stop);
    await expect(startService({ INTERNAL_PORT: String(first.port) })).rejects.toMatchObject({
      code: 'PORT_UNAVAILABLE',
      message: expect.stringContaining(`127.0.0.1:${first.port}`),
    });
  });

  test('has an address of its own', async () => {
    const port = await findFreePort();
    const service = await startService({ INTERNAL_HOST: '::1', INTERNAL_PORT: String(port) });
    stops.push(service.stop);
    expect((await fetch(`http://[::1]:${port}/livez`)).status).toBe(200);
    await expect(fetch(`http://127.0.0.1:${port}/livez`)).rejects.toThrow();
  });

  test('tells that it drains while requests of others are still answered', async () => {
    const service = await startService(environment);
    const url = internalOf(service);
    const slow = connect(service.port, '127.0.0.1');
    const said = text(slow);
    const body = JSON.stringify({ title: 't', content: 'c', user_id: 1 });
    const head = `host: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n`;
    slow.write(`POST /cache/posts HTTP/1.1\r\n${head}expect: 100-continue\r\n\r\n`);
    await new Promise((resolve) => slow.once('data', resolve));
    const stopped = service.stop();
    await eventually(async () => (await fetch(`${url}/readyz`)).status === 503);
    expect(await (await fetch(`${url}/readyz`)).text()).toBe('not ready: shutdown');
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    slow.write(body);
    expect(await said).toMatch(/HTTP\/1\.1 (?:201|422) /);
    await stopped;
    await expect(fetch(`${url}/livez`)).rejects.toThrow();
  });
});

describe('secrets', () => {
  test('the current one and the one before open the same doors, others do not', async () => {
    const service = await startService({
      REALTIME_API_SECRET: 'new',
      REALTIME_API_SECRET_PREVIOUS: 'old',
      METRICS_TOKEN: 'new',
      METRICS_TOKEN_PREVIOUS: 'old',
      OPERATOR_SECRET: 'new',
      OPERATOR_SECRET_PREVIOUS: 'old',
    });
    stops.push(service.stop);
    const tried = async (each: string) => [
      (await service.get('/internal/stats', { 'x-internal-secret': each })).status,
      (await service.get('/metrics', { authorization: `Bearer ${each}` })).status,
      (await service.request('POST', '/dashboard/api/session', { secret: each })).status,
    ];
    for (const each of ['new', 'old']) expect(await tried(each)).toEqual([200, 200, 200]);
    for (const each of ['older', '', 'new,old']) expect(await tried(each)).toEqual([403, 403, 401]);
  });
});
