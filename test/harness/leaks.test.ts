import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, test } from '@jest/globals';
import { findFreePort } from './free-port.ts';
import { trackLeaks } from './leaks.ts';

const SHORT_GRACE_MS = 30;

async function listenSomewhere() {
  const server = createServer();
  server.listen(await findFreePort(), '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no TCP address');
  return { server, port: address.port };
}

test('says nothing when nothing was opened', async () => {
  await trackLeaks(SHORT_GRACE_MS).check();
});

test('names a server that listens on, and is content when it is closed', async () => {
  const leaky = trackLeaks(SHORT_GRACE_MS);
  const clean = trackLeaks();
  const { server } = await listenSomewhere();
  await expect(leaky.check()).rejects.toThrow('left open: 1 TCP server');
  server.close();
  await clean.check();
});

test('names a socket that stays open, with its ends and the place that opened it', async () => {
  const { server, port } = await listenSomewhere();
  const accepted = once(server, 'connection');
  const leaky = trackLeaks(SHORT_GRACE_MS);
  const clean = trackLeaks();
  const socket = connect(port, '127.0.0.1');
  const [peer] = await accepted;
  const message = await leaky.check().catch((error: unknown) => String(error));
  expect(message).toContain('left open: 2 TCP sockets');
  expect(message).toContain(`127.0.0.1:${port}`);
  expect(message).toContain('leaks.test.ts');
  socket.destroy();
  peer.destroy();
  server.close();
  await clean.check();
});

test('names a timer that is still to fire, but not one that keeps nothing alive', async () => {
  const clean = trackLeaks(SHORT_GRACE_MS);
  const leaky = trackLeaks(SHORT_GRACE_MS);
  const unheeded = setTimeout(() => {}, 60_000);
  unheeded.unref();
  await clean.check();
  const timer = setInterval(() => {}, 60_000);
  await expect(leaky.check()).rejects.toThrow('left open: 1 timer');
  clearInterval(timer);
  clearTimeout(unheeded);
});

test('waits for a socket that is on its way out', async () => {
  const { server, port } = await listenSomewhere();
  const accepted = once(server, 'connection');
  const leaks = trackLeaks();
  const socket = connect(port, '127.0.0.1');
  const [peer] = await accepted;
  peer.resume();
  socket.end();
  server.close();
  await leaks.check();
});
