import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { Database } from '../../src/database/database.ts';
import { type Browser, startBrowser } from '../harness/browser.ts';
import { buildClient, importMap, serveClient } from '../harness/client-build.ts';
import { openMysql } from '../harness/databases.ts';
import { createSchema } from '../harness/database-schema.ts';
import { LOOPBACK } from '../harness/free-port.ts';
import { type PageServer, startPageServer } from '../harness/page-server.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { ada, insertUsers } from '../harness/stage.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

/** The built client in a page of a real browser, before two real instances: one that comes and goes, one that stays. */

const stops: (() => Promise<unknown>)[] = [];
const secret = 'change-me';
const patienceMs = 30_000;
let browser: Browser;
let pages: PageServer;
let redis: RedisServer;
let database: Database;
let environment: Record<string, string>;
let mortal: ServiceProcess;
/** What the pages know of it: nobody gets through while it is away. */
let front: TcpProxy;
let steady: ServiceProcess;

const startInstance = async (): Promise<ServiceProcess> => {
  const instance = await startServiceProcess({ environment });
  stops.push(instance.stop);
  await instance.line(/is in use/);
  return instance;
};

beforeAll(async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  redis = await startRedis();
  stops.push(() => redis.stop());
  pages = await startPageServer();
  stops.push(pages.stop);
  database = openMysql(schema);
  stops.push(() => database.close());
  environment = {
    ...environmentOf(redis, schema),
    FRONTEND_URL: pages.url,
    REALTIME_API_SECRET: secret,
    LOG_REQUESTS: 'false',
  };
  [mortal, steady] = [await startInstance(), await startInstance()];
  front = await startProxy({ host: LOOPBACK, port: mortal.port });
  stops.push(front.close);
  await insertUsers(database);
  const folder = await mkdtemp(join(tmpdir(), 'energex-client-'));
  stops.push(() => rm(folder, { recursive: true }));
  await buildClient(folder);
  await serveClient(pages, folder);
  const url = `http://${front.host}:${front.port}`;
  pages.add('/live.html', livePage(url));
  pages.add('/plain.html', plainPage(url));
  browser = await startBrowser();
  stops.push(() => browser.stop());
}, 300_000);

afterAll(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
}, 60_000);

afterEach(() => {
  expect(browser.complaints).toEqual([]);
});

/** All posts and the state of the client; `window.seen` has each state that was shown. */
function livePage(url: string): string {
  return `<!doctype html><title>live</title>${importMap}<p id="state"></p><ol id="posts"></ol>
<script type="module">
  import { createCacheClient } from '/client/client.js';
  const client = createCacheClient({ url: '${url}', socket: { reconnectionDelayMax: 500 } });
  const posts = client.posts.list();
  window.seen = [];
  window.client = client;
  const showState = () => {
    const { name, reason } = client.state.getSnapshot();
    document.querySelector('#state').textContent = name;
    window.seen.push(reason === undefined ? name : name + ': ' + reason);
  };
  const showPosts = () => {
    const items = (posts.getSnapshot().data ?? []).map((post) => {
      const item = document.createElement('li');
      item.textContent = post.id + ' ' + post.title;
      return item;
    });
    document.querySelector('#posts').replaceChildren(...items);
  };
  client.state.subscribe(showState);
  posts.subscribe(showPosts);
</script>`;
}

/** As a frontend has it that knows nothing of positions. */
function plainPage(url: string): string {
  return `<!doctype html><title>plain</title><p id="state"></p><ol id="heard"></ol>
<script src="/socket.io.min.js"></script>
<script>
  const socket = io('${url}', { reconnectionDelayMax: 500 });
  const note = (text) => {
    const item = document.createElement('li');
    item.textContent = text;
    document.querySelector('#heard').append(item);
  };
  socket.on('connect', () => { document.querySelector('#state').textContent = 'connected'; });
  socket.on('disconnect', () => { document.querySelector('#state').textContent = 'disconnected'; });
  for (const event of ['new_post', 'post_updated', 'post_deleted', 'announcement']) {
    socket.on(event, (data) => note(event + ' ' + (data.title ?? data.id ?? data)));
  }
  socket.onAny((event) => { if (event.startsWith('energex:')) note('not for it: ' + event); });
</script>`;
}

const texts = (page: Page, selector: string): Promise<string[]> => page.locator(selector).allTextContents();
const seen = (page: Page): Promise<string[]> => page.evaluate(() => Reflect.get(globalThis, 'seen'));

/** As the service has them. */
async function wanted(): Promise<string[]> {
  const { json } = await steady.get('/cache/posts');
  return json.data.map(({ id, title }: { id: number; title: string }) => `${id} ${title}`);
}

async function create(title: string): Promise<number> {
  const { status, json } = await steady.request('POST', '/cache/posts', { title, content: 'c', user_id: ada.id });
  expect(status).toBe(201);
  return json.data.id;
}

async function showsAll(page: Page): Promise<void> {
  await eventually(async () => String(await texts(page, '#posts li')) === String(await wanted()), patienceMs);
}

const shows = (page: Page, state: string): Promise<void> =>
  eventually(async () => String(await texts(page, '#state')) === state, patienceMs);

/** A page that is live. What it reads of the list from then on is counted. */
async function openLive(): Promise<{ page: Page; listReads: () => number }> {
  const page = await browser.open(`${pages.url}/live.html`);
  await shows(page, 'live');
  await showsAll(page);
  let reads = 0;
  page.on('request', (request) => {
    if (request.method() === 'GET' && request.url().endsWith('/cache/posts')) reads += 1;
  });
  return { page, listReads: () => reads };
}

async function restart(signal: 'SIGKILL' | 'SIGTERM', meanwhile: () => Promise<void>): Promise<void> {
  mortal.signal(signal);
  await mortal.ended;
  await front.refuse();
  await meanwhile();
  mortal = await startInstance();
  front.leadTo({ host: LOOPBACK, port: mortal.port });
  await front.restore();
}

describe('a page with the client', () => {
  test('shows what is changed elsewhere, without a reload', async () => {
    const id = await create('first');
    const { page, listReads } = await openLive();
    await page.evaluate(() => Reflect.set(globalThis, 'marker', 'still the same page'));
    await steady.request('PUT', `/cache/posts/${id}`, { title: 'changed through another instance' });
    await create('second');
    const gone = await create('third');
    await steady.request('DELETE', `/cache/posts/${gone}`);
    await showsAll(page);
    // By a program that writes to the database itself, and tells no more than the id.
    await database.execute('UPDATE posts SET title = ? WHERE id = ?', ['changed past the service', String(id)]);
    const told = { event: 'post_updated', data: { id } };
    await steady.request('POST', '/internal/broadcast', told, { 'x-internal-secret': secret });
    await eventually(
      async () => (await texts(page, '#posts li')).includes(`${id} changed past the service`),
      patienceMs,
    );
    await showsAll(page);
    expect(await page.evaluate(() => Reflect.get(globalThis, 'marker'))).toBe('still the same page');
    expect(listReads()).toBe(0);
    expect(new Set(await seen(page))).toEqual(new Set(['catching up', 'live']));
    await page.close();
  }, 90_000);

  test('catches up exactly when its instance was killed, from events alone', async () => {
    const { page, listReads } = await openLive();
    await restart('SIGKILL', async () => {
      await shows(page, 'offline');
      for (let count = 1; count <= 20; count += 1) await create(`while it was away ${count}`);
      expect(await texts(page, '#posts li')).not.toEqual(await wanted());
    });
    await shows(page, 'live');
    await showsAll(page);
    expect(listReads()).toBe(0);
    const states = await seen(page);
    expect(states.filter((state) => state.startsWith('offline'))).toContain('offline: connection lost');
    expect(states.slice(-2)).toEqual(['catching up', 'live']);
    await page.close();
  }, 90_000);

  test('reads anew when the service has forgotten what it missed', async () => {
    const { page, listReads } = await openLive();
    await restart('SIGKILL', async () => {
      await shows(page, 'offline');
      await create('not to be heard of');
      await redis.restart();
    });
    await shows(page, 'live');
    await showsAll(page);
    expect(listReads()).toBeGreaterThan(0);
    await page.close();
  }, 90_000);

  test('leaves an instance that stops, and comes back', async () => {
    const { page } = await openLive();
    await restart('SIGTERM', () => shows(page, 'offline'));
    expect(await seen(page)).toContain('offline: service stops');
    await create('after the restart');
    await shows(page, 'live');
    await showsAll(page);
    await page.close();
  }, 90_000);

  test('says that it is offline, and catches up when it is online again', async () => {
    const { page } = await openLive();
    await browser.setOffline(true);
    await shows(page, 'offline');
    await create('while the browser was offline');
    await browser.setOffline(false);
    await shows(page, 'live');
    await showsAll(page);
    await page.close();
  }, 90_000);

  test('writes, and shows what was written; an error says which field', async () => {
    const { page } = await openLive();
    const said = await page.evaluate(async () => {
      const { posts } = Reflect.get(globalThis, 'client');
      const post = await posts.create({ title: 'of the page', content: 'c', user_id: 1 });
      await posts.update(post.id, { title: 'of the page, changed' });
      const problem = await posts.create({ title: ' ', content: 'c', user_id: 1 }).catch((error: unknown) => error);
      return { id: post.id, code: problem.code, status: problem.status, fields: problem.fields };
    });
    const fields = [{ field: 'title', message: 'title must not be blank' }];
    expect(said).toEqual({ id: said.id, code: 'VALIDATION_FAILED', status: 400, fields });
    await eventually(
      async () => (await texts(page, '#posts li')).includes(`${said.id} of the page, changed`),
      patienceMs,
    );
    await page.evaluate((id) => Reflect.get(globalThis, 'client').posts.remove(id, { user_id: 1 }), said.id);
    await showsAll(page);
    await page.close();
  }, 60_000);
});

test('a page with a plain Socket.IO client hears the events, also after its instance was killed', async () => {
  const page = await browser.open(`${pages.url}/plain.html`);
  await shows(page, 'connected');
  const id = await create('for all');
  await steady.request('PUT', `/cache/posts/${id}`, { title: 'for all, changed' });
  await steady.request('DELETE', `/cache/posts/${id}`);
  const told = { event: 'announcement', data: 'hello' };
  await steady.request('POST', '/internal/broadcast', told, { 'x-internal-secret': secret });
  const all = ['new_post for all', 'post_updated for all, changed', `post_deleted ${id}`, 'announcement hello'];
  await eventually(async () => (await texts(page, '#heard li')).length >= all.length, patienceMs);
  expect(await texts(page, '#heard li')).toEqual(all);
  await restart('SIGKILL', () => shows(page, 'disconnected'));
  await shows(page, 'connected');
  await create('for all again');
  await eventually(async () => (await texts(page, '#heard li')).includes('new_post for all again'), patienceMs);
  expect((await texts(page, '#heard li')).filter((each) => each.startsWith('not for it'))).toEqual([]);
  await page.close();
}, 90_000);
