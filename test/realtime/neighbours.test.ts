import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import { Neighbours } from '../../src/realtime/neighbours.ts';
import { type RunningServer, startServer } from '../../src/server.ts';

let folder: string;
let servers: RunningServer[];
let http: Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-'));
  http = createServer();
  const config = loadConfig({ PORT: '0', HOST: '127.0.0.1' });
  const start = (number: string) => startServer(config, pino({ level: 'silent' }), { worker: { number, folder } });
  servers = [await start('1'), await start('2')];
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  await rm(folder, { recursive: true });
});

const path = '/socket.io/?EIO=4&transport=';
const urlOf = (number: 1 | 2, scheme = 'http'): string => `${scheme}://127.0.0.1:${servers[number - 1]?.port}`;

/** Begins a session by polling on the first process. */
async function open(): Promise<string> {
  const text = await (await fetch(`${urlOf(1)}${path}polling`)).text();
  const { sid } = JSON.parse(text.slice(1));
  expect(sid).toMatch(/^1\.[\w-]{20}$/);
  return sid;
}

test('a session by polling is answered by its own process, whichever is asked', async () => {
  const sid = await open();
  const sent = await fetch(`${urlOf(2)}${path}polling&sid=${sid}`, { method: 'POST', body: '40' });
  expect([sent.status, await sent.text()]).toEqual([200, 'ok']);
  const received = await fetch(`${urlOf(2)}${path}polling&sid=${sid}`);
  expect([received.status, await received.text()]).toEqual([200, expect.stringMatching(/^40\{"sid":/)]);
});

test('the way from polling to a WebSocket too', async () => {
  const sid = await open();
  const socket = new WebSocket(`${urlOf(2, 'ws')}${path}websocket&sid=${sid}`);
  await once(socket, 'open');
  const answer = once(socket, 'message');
  socket.send('2probe');
  const [{ data }] = await answer;
  expect(data).toBe('3probe');
  socket.close();
});

test('a process that is gone: the session is not known, so that the client begins another one', async () => {
  const answer = await fetch(`${urlOf(1)}${path}polling&sid=9.abc`);
  expect([answer.status, await answer.json()]).toEqual([400, { code: 1, message: 'Session ID unknown' }]);
  const socket = new WebSocket(`${urlOf(1, 'ws')}${path}websocket&sid=9.abc`);
  await once(socket, 'error');
});

test('a process that goes while it answers ends the answer', async () => {
  const own = await mkdtemp(join(tmpdir(), 'energex-cache-test-'));
  const asked = createServer((_request, response) => {
    response.writeHead(200).write('half');
    setImmediate(() => other.close());
  });
  const other = new Neighbours(own, '2', asked);
  const first = new Neighbours(own, '1', http);
  await other.listen();
  const front = createServer((request, response) => void first.handOver(request, response)).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = front.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const answer = await fetch(`http://127.0.0.1:${port}/?sid=2.x`);
  await expect(answer.text()).rejects.toThrow('terminated');
  front.close();
  await rm(own, { recursive: true });
});

test('a folder that is not there is an error at the start', async () => {
  await expect(new Neighbours(join(folder, 'nowhere'), '1', http).listen()).rejects.toThrow('nowhere');
});
