import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { root } from '../../scripts/docs/generated.ts';
import { addDashboard } from '../../src/http/dashboard/routes.ts';
import { Sessions } from '../../src/http/dashboard/sessions.ts';
import { acceptAllMethods } from '../../src/http/methods.ts';
import { answerProblem } from '../../src/http/problem.ts';
import { eventually } from '../harness/eventually.ts';
import { connectClient } from '../harness/live-client.ts';
import { runCommand } from '../harness/run-command.ts';
import type { Reply, Service } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';

const secret = 'the secret of the operators';
const api = '/dashboard/api';

/** The page is there only once it was built; a run of all tests may have done so already. */
beforeAll(async () => {
  if (existsSync(join(root, 'dist', 'dashboard', 'index.html'))) return;
  const bundler = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  await runCommand(process.execPath, [bundler, 'build', join(root, 'dashboard')], { timeoutMs: 120_000 });
}, 150_000);

describe('sessions', () => {
  const minuteMs = 60_000;
  let now = Date.UTC(2025, 0, 1);
  const open = (): Sessions => new Sessions([secret], () => now);

  test('the right secret opens one for twelve hours, which every instance knows', () => {
    const { token, maxAgeS } = open().open(secret, '::1');
    expect(maxAgeS).toBe(12 * 60 * 60);
    expect(open().admits(token)).toBe(true);
    now += maxAgeS * 1000 - 1;
    expect(open().admits(token)).toBe(true);
    now += 1;
    expect(open().admits(token)).toBe(false);
  });

  test('nothing else does', () => {
    const { token } = open().open(secret, '::1');
    const [expires = '', signature = ''] = token.split('.');
    const forged = [
      undefined,
      '',
      '.',
      `${Number(expires) + 1}.${signature}`,
      `${expires}.${'a'.repeat(43)}`,
      `${token}x`,
    ];
    expect(forged.filter((each) => open().admits(each))).toEqual([]);
    expect(new Sessions(['another secret'], () => now).admits(token)).toBe(false);
  });

  test('who guesses has to wait after ten times, others need not', () => {
    const sessions = open();
    const guess = (given: string, address: string): string => {
      try {
        return sessions.open(given, address).token === '' ? '' : 'opened';
      } catch (error) {
        return String(Object(error).code);
      }
    };
    for (let count = 0; count < 10; count += 1) expect(guess('guess', 'a')).toBe('LOGIN_FAILED');
    expect([guess(secret, 'a'), guess('guess', 'a')]).toEqual(['TOO_MANY_LOGINS', 'TOO_MANY_LOGINS']);
    expect(guess(secret, 'b')).toBe('opened');
    now += 5 * minuteMs + 1;
    expect(guess(secret, 'a')).toBe('opened');
    expect(guess('guess', 'a')).toBe('LOGIN_FAILED');
  });

  test('without a secret everybody is let in', () => {
    const sessions = new Sessions([], () => now);
    expect([sessions.loginNeeded, sessions.admits(undefined)]).toEqual([false, true]);
    expect(() => sessions.open('', 'a')).toThrow("That is not the operator's secret");
  });
});

test('a page that was not built is told as such', async () => {
  const app = fastify();
  acceptAllMethods(app);
  app.setErrorHandler(answerProblem);
  const never = (): Promise<never> => Promise.reject(new Error('nobody may ask'));
  const operations = {
    metrics: never,
    stats: never,
    readiness: never,
    usage: never,
    keys: never,
    key: never,
    events: never,
    invalidate: never,
  };
  const parts = { sessions: new Sessions([], Date.now), closedBecause: undefined, resources: [], operations };
  await addDashboard(app, parts, join(root, 'dist', 'nowhere'));
  const { statusCode, body } = await app.inject('/dashboard');
  expect([statusCode, JSON.parse(body).message]).toEqual([
    404,
    'The dashboard is not available: it has not been built; run `npm run build`',
  ]);
  await app.close();
});

async function logIn(service: Service, given = secret): Promise<Reply> {
  return await service.request('POST', `${api}/session`, { secret: given });
}

const cookieOf = ({ headers }: Reply): string => (headers.get('set-cookie') ?? '').split(';')[0] ?? '';

describeService('the dashboard, open', {}, (given) => {
  test('shows what is cached, how much, and how the service is', async () => {
    const { service, database } = given;
    await insertPost(database, { id: 1 });
    for (const path of ['/cache/posts/1', '/cache/posts/7', '/cache/posts', '/cache/posts?limit=5'])
      await service.get(path);
    expect((await service.get(`${api}/session`)).json).toMatchObject({ loginNeeded: false, loggedIn: true });
    const found = await service.get(`${api}/keys?match=post*`);
    expect(found.json.keys.map(({ key, kind }: Record<string, unknown>) => [key, kind])).toEqual([
      ['post:1', 'post'],
      ['post:7', 'post'],
      ['posts:all', 'list'],
    ]);
    const { json: row } = await service.get(`${api}/key?key=post:1`);
    expect(row).toMatchObject({ key: 'post:1', kind: 'post', current: true });
    expect(JSON.parse(row.value)).toMatchObject({ id: 1, title: 'Title 1' });
    expect(row.ttlMs).toBeLessThanOrEqual(600_000);
    expect(row.ageMs).toBeLessThan(90_000);
    // A row that is not there lives for half a minute.
    expect((await service.get(`${api}/key?key=post:7`)).json.ageMs).toBeLessThan(30_000);
    expect((await service.get(`${api}/key?key=posts:all`)).json.guard.pages).toBe('limit=5');
    expect((await service.get(`${api}/key?key=${encodeURIComponent('posts:all#limit=5')}`)).json.current).toBe(true);
    expect((await service.get(`${api}/key?key=nothing`)).json).toMatchObject({ kind: 'other', current: false });
    const usage = (await service.get(`${api}/usage`)).json;
    expect(usage.store.keys).toBeGreaterThan(2);
    expect(usage.memory.limitBytes).toBe(64 * 1024 * 1024);
    expect((await service.get(`${api}/readiness`)).json.isReady).toBe(true);
    expect((await service.get(`${api}/stats`)).json).toMatchObject({ process: { pid: process.pid }, sockets: 0 });
    expect((await service.get(`${api}/metrics`)).text).toContain('energex_cache_requests_total{');
  });

  test('invalidates a row with its list, and a list with its segments', async () => {
    const { service, database } = given;
    for (let id = 1; id <= 3; id += 1) await insertPost(database, { id });
    const sources = async (): Promise<string[]> => {
      const replies = await Promise.all(
        ['/cache/posts/1', '/cache/posts/2', '/cache/posts'].map((path) => service.get(path)),
      );
      return replies.map(({ json }) => json.source);
    };
    await sources();
    expect(await sources()).toEqual(['cache', 'cache', 'cache']);
    const { json } = await service.request('POST', `${api}/invalidate`, { key: 'post:1' });
    expect(json.invalidated).toEqual(['post:1', 'posts:rows:0', 'posts:all']);
    expect(await sources()).toEqual(['database', 'cache', 'database']);
    await service.request('POST', `${api}/invalidate`, { key: 'posts:all#limit=5' });
    expect(await sources()).toEqual(['cache', 'cache', 'database']);
    // A list is put together from its segments, and may be kept whole.
    const segment = await service.request('POST', `${api}/invalidate`, { key: 'posts:rows:0' });
    expect(segment.json.invalidated).toEqual(['posts:rows:0', 'posts:all']);
    expect(await sources()).toEqual(['cache', 'cache', 'database']);
    expect((await service.request('POST', `${api}/invalidate`, { key: 'other:1' })).json.invalidated).toEqual([
      'other:1',
    ]);
  });

  test('invalidates all of a resource, and tells live clients when it is asked to', async () => {
    const { service, database } = given;
    await insertPost(database, { id: 1 });
    const client = await connectClient(service.url, { auth: { epoch: '', offset: 0 } });
    await eventually(async () => client.sessions.length > 0);
    const before = client.sessions.length;
    for (const path of ['/cache/posts', '/cache/posts/1']) await service.get(path);
    const { json } = await service.request('POST', `${api}/invalidate`, { key: 'posts', tellClients: true });
    expect(json).toEqual({ invalidated: [], prefixes: ['posts:all', 'posts:rows:', 'post:'] });
    for (const path of ['/cache/posts', '/cache/posts/1']) {
      expect((await service.get(path)).json.source).toBe('database');
    }
    await eventually(async () => client.sessions.length > before);
    client.close();
  });

  test('tells what the event log holds behind a position', async () => {
    const { service } = given;
    const { json: start } = await service.get(`${api}/events`);
    expect(start).toMatchObject({ epoch: expect.stringMatching(/./), events: [] });
    await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 });
    const behind = `?epoch=${start.epoch}&offset=${start.offset}`;
    const eventsBehind = async () => (await service.get(`${api}/events${behind}`)).json;
    // It is appended before the write is acknowledged.
    const { offset, events } = await eventsBehind();
    expect(events).toMatchObject([{ event: 'new_post', rooms: ['posts', 'post:1'], epoch: start.epoch, offset }]);
    await service.request('POST', `${api}/invalidate`, { key: 'posts', tellClients: true });
    const lost = await eventsBehind();
    expect([lost.events, lost.epoch === start.epoch]).toEqual([null, false]);
    expect((await service.get(`${api}/events?epoch=x&offset=-1`)).status).toBe(400);
  });

  test('says what became of a key as the command line does', async () => {
    const { service, database } = given;
    await insertPost(database, { id: 1 });
    const stateOf = async (): Promise<string> => (await service.get(`${api}/key?key=post:1`)).json.state;
    expect(await stateOf()).toBe('absent');
    await service.get('/cache/posts/1');
    expect(await stateOf()).toBe('cached');
  });

  test('bad input gets a clear error', async () => {
    const { service } = given;
    for (const path of ['keys', 'key', 'keys?match=', `key?key=${'x'.repeat(1_025)}`]) {
      const reply = await service.get(`${api}/${path}`);
      expect([path.slice(0, 12), reply.status, reply.json.code]).toEqual([path.slice(0, 12), 400, 'VALIDATION_FAILED']);
    }
    expect((await service.request('POST', `${api}/invalidate`, {})).status).toBe(400);
    expect((await service.request('PUT', `${api}/keys`)).headers.get('allow')).toBe('GET, HEAD, OPTIONS');
    expect((await service.get(`${api}/nothing`)).status).toBe(404);
  });

  test('its own page may listen to the live events, other origins may not', async () => {
    const { url } = given.service;
    const client = await connectClient(url, { extraHeaders: { origin: url } });
    client.close();
    await expect(connectClient(url, { extraHeaders: { origin: 'http://elsewhere.example' } })).rejects.toThrow();
  });

  test('its page may be kept by nobody, its files for good', async () => {
    const page = await given.service.get('/dashboard');
    expect(page.headers.get('cache-control')).toBe('no-store');
    const [, script = ''] = /src="(\/dashboard\/assets\/[\w.-]+\.js)"/.exec(page.text) ?? [];
    const { status, headers } = await given.service.get(script);
    expect([status, headers.get('cache-control')]).toEqual([200, 'public, max-age=31536000, immutable']);
    expect(headers.get('content-security-policy')).toContain("script-src 'self'");
  });

  test('other sites are told nothing', async () => {
    const reply = await given.service.get(`${api}/session`, { 'sec-fetch-site': 'cross-site' });
    expect([reply.status, reply.json.code]).toEqual([401, 'LOGIN_REQUIRED']);
    expect((await given.service.get('/dashboard', { 'sec-fetch-site': 'cross-site' })).status).toBe(200);
  });
});

describeService('the dashboard, with a secret', { environment: { OPERATOR_SECRET: secret } }, (given) => {
  test('is for those who have it, until they log out', async () => {
    const { service } = given;
    expect((await service.get('/dashboard')).status).toBe(200);
    for (const path of ['metrics', 'stats', 'readiness', 'usage', 'keys?match=x', 'key?key=x', 'events']) {
      expect((await service.get(`${api}/${path}`)).json.code).toBe('LOGIN_REQUIRED');
    }
    expect((await service.request('POST', `${api}/invalidate`, { key: 'x' })).status).toBe(401);
    expect((await service.get(`${api}/session`)).json).toMatchObject({
      loginNeeded: true,
      loggedIn: false,
      resources: [],
    });
    const wrong = await logIn(service, 'wrong');
    expect([wrong.status, wrong.json.message]).toEqual([401, "That is not the operator's secret"]);
    const right = await logIn(service);
    expect(right.json).toMatchObject({ loggedIn: true });
    expect(right.headers.get('set-cookie')).toMatch(/; HttpOnly; SameSite=Strict$/);
    const cookie = cookieOf(right);
    expect((await service.get(`${api}/readiness`, { cookie })).status).toBe(200);
    const out = await service.request('DELETE', `${api}/session`, undefined, { cookie });
    expect([out.json.loggedIn, out.headers.get('set-cookie')]).toEqual([false, expect.stringContaining('Max-Age=0')]);
  });

  test('its page may listen once somebody has logged in', async () => {
    const { service } = given;
    const origin = { origin: service.url };
    await expect(connectClient(service.url, { extraHeaders: origin })).rejects.toThrow();
    const cookie = cookieOf(await logIn(service));
    const client = await connectClient(service.url, { extraHeaders: { ...origin, cookie } });
    client.close();
  });

  test('behind TLS the cookie is for TLS alone', async () => {
    const headers = { 'x-forwarded-proto': 'https' };
    const reply = await given.service.request('POST', `${api}/session`, { secret }, headers);
    expect(reply.headers.get('set-cookie')).toContain('; Secure');
  });
});

describeService(
  'the dashboard, in production without a secret',
  { environment: { NODE_ENV: 'production', ALLOW_OPEN_WRITES: 'true' }, on: serverStages },
  (given) => {
    test('is closed, and says why', async () => {
      for (const path of ['/dashboard', `${api}/session`, `${api}/metrics`]) {
        const reply = await given.service.get(path);
        expect([reply.status, reply.json.message]).toEqual([
          404,
          'The dashboard is not available: in production it needs OPERATOR_SECRET',
        ]);
      }
      const { url } = given.service;
      await expect(connectClient(url, { extraHeaders: { origin: url } })).rejects.toThrow();
    });
  },
);
