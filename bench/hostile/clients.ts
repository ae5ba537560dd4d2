import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Clients that cost a server more than they do themselves, some at a time. */
export interface Attack {
  readonly name: string;
  readonly count: number;
  /** Resolves with the connections once they are there; `stop` ends what goes on meanwhile. */
  begin(place: Place): Promise<{ readonly sockets: readonly Socket[]; readonly stop: () => void }>;
}

export interface Place {
  readonly port: number;
  readonly secret: string;
}

export const attacks: readonly Attack[] = [
  { name: 'idle connections', count: 10_000, begin: ({ port }) => open(port, 10_000, (socket) => socket.resume()) },
  {
    name: 'kept alive, idle',
    count: 10_000,
    begin: ({ port }) =>
      open(port, 10_000, (socket) => socket.resume().write('GET /livez HTTP/1.1\r\nHost: h\r\n\r\n')),
  },
  {
    name: 'a byte of the headers each second',
    count: 2_000,
    begin: ({ port }) => open(port, 2_000, (socket) => trickle(socket, 'GET / HTTP/1.1\r\nHost: h\r\nX-Long: ')),
  },
  {
    name: 'a byte of the body each second',
    count: 2_000,
    begin: ({ port }) => open(port, 2_000, (socket) => trickle(socket, `${post(100_000)}{"title":"`)),
  },
  {
    name: 'slow readers of the list',
    count: 200,
    begin: ({ port }) => open(port, 200, readSlowly),
  },
  { name: 'idle live clients', count: 10_000, begin: ({ port }) => open(port, 10_000, goLive) },
  {
    name: 'live clients that never read',
    count: 200,
    begin: async ({ port, secret }) => {
      const opened = await open(port, 200, async (socket) => {
        await goLive(socket);
        socket.pause();
      });
      const broadcasts = broadcastOn(port, secret);
      return { sockets: opened.sockets, stop: broadcasts.stop };
    },
  },
];

/** Some at a time: more than fit into the backlog would wait for a second. */
async function open(
  port: number,
  count: number,
  begin: (socket: Socket) => unknown,
): Promise<{ readonly sockets: readonly Socket[]; readonly stop: () => void }> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    await Promise.all(
      Array.from({ length: Math.min(100, count - sockets.length) }, async () => {
        const socket = connect({ port, host: '127.0.0.1' });
        socket.on('error', () => undefined);
        sockets.push(socket);
        await once(socket, 'connect');
        await begin(socket);
      }),
    );
  }
  return { sockets, stop: () => undefined };
}

function trickle(socket: Socket, beginning: string): void {
  socket.write(beginning);
  const timer = setInterval(() => socket.write('x'), 1_000);
  socket.on('close', () => clearInterval(timer));
  socket.resume();
}

function post(length: number): string {
  return `POST /cache/posts HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
}

/** 64 KB a second. */
function readSlowly(socket: Socket): void {
  socket.write('GET /cache/posts HTTP/1.1\r\nHost: h\r\n\r\n');
  socket.pause();
  const timer = setInterval(() => void socket.read(64 * 1024), 1_000);
  socket.on('close', () => clearInterval(timer));
}

/** By WebSocket and Socket.IO, as far as to be a client that hears everything. */
async function goLive(socket: Socket): Promise<void> {
  socket.write(
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.write(maskedFrame('40{"epoch":null}'));
  // Pings of the server are answered, those that come among other messages too.
  socket.on('data', (data: Buffer) => {
    if (data.includes('2')) socket.write(maskedFrame('3'));
  });
}

/** A text of less than 126 bytes, by RFC 6455, section 5.2. */
function maskedFrame(text: string): Buffer {
  const mask = randomBytes(4);
  const payload = Buffer.from(text).map((byte, at) => byte ^ (mask[at % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length]), mask, payload]);
}

/** 20 events of 50 KB a second. */
function broadcastOn(port: number, secret: string): { readonly stop: () => void } {
  const body = JSON.stringify({ event: 'news', data: 'x'.repeat(50_000) });
  const headers = { 'content-type': 'application/json', 'x-internal-secret': secret };
  const send = (): void => {
    fetch(`http://127.0.0.1:${port}/internal/broadcast`, { method: 'POST', headers, body }).catch(() => undefined);
  };
  const timer = setInterval(send, 50);
  return { stop: () => clearInterval(timer) };
}
