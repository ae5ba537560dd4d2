import { once } from 'node:events';
import { connect, createServer, type Server } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { findRedisServer } from './binaries.ts';
import { findFreePort, LOOPBACK } from './free-port.ts';
import { makeServerFolder, ServerProcess } from './server-process.ts';

let blocker: Server;
let server: ServerProcess | undefined;

afterEach(async () => {
  blocker.close();
  await server?.stop();
});

async function block(): Promise<number> {
  const port = await findFreePort();
  blocker = createServer((socket) => socket.destroy()).listen(port, LOOPBACK);
  await once(blocker, 'listening');
  return port;
}

/** The blocker hangs up, a Redis answers. */
function probe(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, LOOPBACK);
    socket.setTimeout(1_000, () => socket.destroy());
    socket.write('PING\r\n');
    socket.on('data', () => {
      resolve();
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => reject(new Error('no answer')));
  });
}

/** A Redis whose ports are chosen by `portOf`, which is told how many attempts there have been. */
async function prepare(portOf: (attempt: number, port: number) => number, port?: number): Promise<ServerProcess> {
  const { command } = await findRedisServer();
  let attempt = 0;
  return new ServerProcess({
    label: 'Redis',
    command,
    arguments: (offered) => ['--bind', LOOPBACK, '--save', '', '--port', String(portOf(++attempt, offered))],
    folder: await makeServerFolder('process'),
    ...(port === undefined ? {} : { port }),
    probe,
    startTimeoutMs: 10_000,
  });
}

test('takes another port when one was lost in a race', async () => {
  const blocked = await block();
  const tried: number[] = [];
  server = await prepare((attempt, port) => {
    tried.push(port);
    return attempt === 1 ? blocked : port;
  });
  await server.start();
  expect(tried.length).toBe(2);
  expect(server.port).toBe(tried[1]);
});

test('waits for a port that was asked for', async () => {
  const wanted = await block();
  let attempts = 0;
  server = await prepare((attempt, port) => {
    attempts = attempt;
    if (attempt === 3) blocker.close();
    return port;
  }, wanted);
  await server.start();
  expect([attempts, server.port]).toEqual([3, wanted]);
});
