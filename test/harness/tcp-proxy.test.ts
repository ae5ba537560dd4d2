import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { findFreePort } from './free-port.ts';
import { type LeakCheck, trackLeaks } from './leaks.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

/** Answers every byte with the same byte, and counts what arrived. */
class EchoServer {
  readonly server: Server = createServer({ allowHalfOpen: true });
  readonly sockets = new Set<Socket>();
  received = 0;
  accepted = 0;
  resets = 0;

  constructor() {
    this.server.on('connection', (socket) => {
      this.accepted++;
      this.sockets.add(socket);
      socket.on('data', (bytes) => {
        this.received += bytes.length;
        if (!socket.write(bytes)) socket.pause();
      });
      socket.on('drain', () => socket.resume());
      socket.on('end', () => socket.end());
      socket.on('error', () => this.resets++);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, 'close');
  }
}

let leaks: LeakCheck;
let echo: EchoServer;
let echoPort: number;
let proxy: TcpProxy;
let clients: Socket[];

beforeAll(() => {
  leaks = trackLeaks();
});

afterAll(() => leaks.check());

beforeEach(async () => {
  echo = new EchoServer();
  echoPort = await findFreePort();
  echo.server.listen(echoPort, '127.0.0.1');
  await once(echo.server, 'listening');
  proxy = await startProxy({ host: '127.0.0.1', port: echoPort });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await proxy.close();
  await echo.close();
});

async function dial(port = proxy.port): Promise<Socket> {
  const client = connect({ host: '127.0.0.1', port });
  clients.push(client);
  await once(client, 'connect');
  return client;
}

async function answer(client: Socket): Promise<string> {
  const [bytes] = await once(client, 'data');
  return String(bytes);
}

async function roundTrip(client: Socket, text: string): Promise<string> {
  client.write(text);
  return answer(client);
}

/** Gives bytes that are under way every chance to arrive: as many round trips past the proxy. */
async function letBytesTravel(): Promise<void> {
  const direct = await dial(echoPort);
  for (let turn = 0; turn < 20; turn++) await roundTrip(direct, '.');
  echo.received -= 20;
}

function failure(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('error', (error) => resolve('code' in error ? String(error.code) : error.message));
    socket.on('close', () => resolve('closed in order'));
  });
}

describe('a good network', () => {
  test('forwards both ways and passes on the end of one side only', async () => {
    const client = await dial();
    expect(await roundTrip(client, 'hello')).toBe('hello');
    client.end('bye');
    expect(await answer(client)).toBe('bye');
    await once(client, 'end');
    expect(echo.resets).toBe(0);
  });

  test('passes on that the target refuses', async () => {
    await echo.close();
    const client = await dial();
    expect(await failure(client)).toBe('ECONNRESET');
    echo = new EchoServer();
    echo.server.listen(echoPort, '127.0.0.1');
    await once(echo.server, 'listening');
  });
});

describe('delay', () => {
  test('adds its time to each direction, keeps the order, and can be taken away', async () => {
    const client = await dial();
    proxy.delay(40);
    const start = performance.now();
    client.write('a');
    client.write('b');
    let text = '';
    while (text.length < 2) text += await answer(client);
    expect(performance.now() - start).toBeGreaterThanOrEqual(79);
    expect(text).toBe('ab');
    await proxy.restore();
    const later = performance.now();
    expect(await roundTrip(client, 'c')).toBe('c');
    expect(performance.now() - later).toBeLessThan(40);
  });
});

describe('black hole', () => {
  test('keeps connections open, forwards nothing, and delivers after the restore', async () => {
    const open = await dial();
    expect(await roundTrip(open, '1')).toBe('1');
    proxy.blackHole();
    const fresh = await dial();
    open.write('old');
    fresh.write('new');
    await letBytesTravel();
    // One for the connection of before and one for that past the proxy: the target sees no new one.
    expect({ received: echo.received, accepted: echo.accepted }).toEqual({ received: 1, accepted: 2 });
    expect([open.destroyed, fresh.destroyed, proxy.connections]).toEqual([false, false, 2]);

    const answers = Promise.all([answer(open), answer(fresh)]);
    await proxy.restore();
    expect(await answers).toEqual(['old', 'new']);
  });

  test('swallows what was under way when it opened', async () => {
    const client = await dial();
    await roundTrip(client, '1');
    proxy.delay(20);
    const start = performance.now();
    client.write('late');
    await letBytesTravel();
    proxy.blackHole();
    while (performance.now() - start < 40) await letBytesTravel();
    expect(echo.received).toBe(1);
    const late = answer(client);
    await proxy.restore();
    expect(await late).toBe('late');
  });

  test('swallows answers too', async () => {
    const client = await dial();
    await roundTrip(client, '1');
    let answers = 0;
    client.on('data', () => answers++);
    proxy.blackHole();
    for (const socket of echo.sockets) socket.write('unasked');
    await letBytesTravel();
    expect(answers).toBe(0);
    const arrived = once(client, 'data');
    await proxy.restore();
    await arrived;
    expect(answers).toBe(1);
  });

  test('holds the sender back instead of buffering, and loses nothing', async () => {
    const client = await dial();
    await roundTrip(client, '1');
    proxy.blackHole();
    const bytes = randomBytes(32 * 1024 * 1024);
    const heapBefore = process.memoryUsage().arrayBuffers;
    client.write(bytes);
    await letBytesTravel();
    // What left the client's own buffer is in the kernel's; none of it is in the proxy's memory.
    expect(process.memoryUsage().arrayBuffers - heapBefore).toBeLessThan(4 * 1024 * 1024);
    expect(echo.received).toBe(1);
    expect(client.writableLength).toBeGreaterThan(0);

    const hash = createHash('sha256');
    let got = 0;
    const all = new Promise<void>((resolve) => {
      client.on('data', (chunk) => {
        hash.update(chunk);
        got += chunk.length;
        if (got === bytes.length) resolve();
      });
    });
    await proxy.restore();
    await all;
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});

describe('reset', () => {
  test('breaks open connections on both sides and lets new ones through', async () => {
    const client = await dial();
    await roundTrip(client, '1');
    const seen = failure(client);
    const [socket] = echo.sockets;
    const seenByTarget = socket === undefined ? 'no connection' : failure(socket);
    proxy.reset();
    expect(await seen).toBe('ECONNRESET');
    expect(await seenByTarget).toBe('ECONNRESET');
    expect(proxy.connections).toBe(0);
    expect(await roundTrip(await dial(), '2')).toBe('2');
  });

  test('breaks connections inside a black hole', async () => {
    proxy.blackHole();
    const client = await dial();
    const seen = failure(client);
    proxy.reset();
    expect(await seen).toBe('ECONNRESET');
  });
});

describe('refuse', () => {
  test('breaks open connections, refuses new ones, and comes back on the same port', async () => {
    const client = await dial();
    await roundTrip(client, '1');
    const seen = failure(client);
    await proxy.refuse();
    expect(await seen).toBe('ECONNRESET');
    await expect(dial()).rejects.toThrow('ECONNREFUSED');
    await proxy.restore();
    expect(await roundTrip(await dial(), '2')).toBe('2');
  });
});

test('a closed proxy stays closed', async () => {
  await proxy.close();
  await expect(dial()).rejects.toThrow('ECONNREFUSED');
  await expect(proxy.restore()).rejects.toThrow('closed');
});
