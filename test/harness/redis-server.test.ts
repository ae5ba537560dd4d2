import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { type LeakCheck, trackLeaks } from './leaks.ts';
import { type RedisServer, type RedisServerOptions, startRedis } from './redis-server.ts';

const servers: RedisServer[] = [];
const clients: Redis[] = [];
let leaks: LeakCheck;

beforeAll(() => {
  leaks = trackLeaks();
});

afterEach(async () => {
  hangUp();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

afterAll(() => leaks.check());

async function start(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedis({ ownProcess: true, ...options });
  servers.push(server);
  return server;
}

function dial(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => null, maxRetriesPerRequest: 0 });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** Not those that have ended: disconnect() would leave a timer of two seconds behind, which is a leak too. */
function hangUp(): void {
  for (const client of clients.splice(0)) {
    if (client.status !== 'end') client.disconnect();
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function folderOf(server: RedisServer): Promise<string> {
  const reply: unknown = await dial(server.url).config('GET', 'dir');
  if (!Array.isArray(reply)) throw new Error('an unexpected reply');
  return String(reply[1]);
}

function gone(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}

test('starts several at once on ports of their own, and stops them without a trace', async () => {
  const three = await Promise.all([start(), start(), start()]);
  expect(new Set(three.map((server) => server.port)).size).toBe(3);
  const folders = await Promise.all(three.map(folderOf));
  hangUp();
  await Promise.all(three.flatMap((server) => [server.stop(), server.stop()]));
  expect(await Promise.all(three.map((server) => accepts(server.port)))).toEqual([false, false, false]);
  expect(await Promise.all(folders.map(gone))).toEqual([true, true, true]);
  expect(three.map((server) => server.pid)).toEqual([undefined, undefined, undefined]);
});

test('asks for its password, whatever characters it has', async () => {
  const server = await start({ password: 'p/w @:#' });
  expect(await dial(server.url).ping()).toBe('PONG');
  await expect(dial(`redis://127.0.0.1:${server.port}`).ping()).rejects.toThrow(/NOAUTH|closed/);
});

test('comes back empty on the same port after a kill', async () => {
  const server = await start();
  const before = server.pid;
  await dial(server.url).set('key', 'value');
  await server.kill();
  expect([server.pid, await accepts(server.port)]).toEqual([undefined, false]);
  await expect(server.pause()).rejects.toThrow('is not running');
  await server.restart();
  expect(server.pid).not.toBe(before);
  expect(await dial(server.url).get('key')).toBeNull();
});

test('keeps what it was told to keep over a restart, in the folder of the caller', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'energex-cache-test-dir-'));
  const options = { dir, config: ['--appendonly', 'yes'] };
  const server = await start(options);
  await dial(server.url).set('key', 'value');
  await server.restart();
  expect(await dial(server.url).get('key')).toBe('value');
  await server.stop();
  const another = await start(options);
  expect(await dial(another.url).get('key')).toBe('value');
  await another.stop();
  await rm(dir, { recursive: true });
});

test('answers nothing while paused, and everything afterwards', async () => {
  const server = await start();
  const client = dial(server.url);
  await client.set('key', 'value');
  await server.pause();
  let answered = false;
  const answer = client.get('key').finally(() => {
    answered = true;
  });
  // The kernel still accepts: what a paused process can't do is answer.
  expect(await accepts(server.port)).toBe(true);
  expect(answered).toBe(false);
  await server.resume();
  expect(await answer).toBe('value');
});

test('restarts and stops even while paused', async () => {
  const server = await start();
  await server.pause();
  await server.restart();
  expect(await dial(server.url).ping()).toBe('PONG');
  await server.pause();
  await server.stop();
  expect(await accepts(server.port)).toBe(false);
});

test('says why it did not start', async () => {
  const server = await start();
  await expect(start({ config: ['--no-such-option', '1'] })).rejects.toThrow(/Bad directive/);
  await expect(start({ port: server.port })).rejects.toThrow(/Address already in use/);
});

test('dies with the process that started it, however that ends, and its folder goes too', async () => {
  const module = new URL('./redis-server.ts', import.meta.url).href;
  const script = `
    const { startRedis } = await import(${JSON.stringify(module)});
    const { port, url } = await startRedis({ ownProcess: true });
    console.log(JSON.stringify({ port, url }));
    setInterval(() => {}, 1_000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(parent.stdout, 'data');
  const { port, url } = Object(JSON.parse(String(line)));
  const folder = await folderOf({ ...(await start()), url });
  expect([await accepts(port), await gone(folder)]).toEqual([true, false]);

  parent.kill('SIGKILL');
  await once(parent, 'exit');
  const deadline = performance.now() + 10_000;
  while (((await accepts(port)) || !(await gone(folder))) && performance.now() < deadline) await delay(20);
  expect([await accepts(port), await gone(folder)]).toEqual([false, true]);
});
