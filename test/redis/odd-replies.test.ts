import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/cache/store.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { eventually } from '../harness/eventually.ts';
import { openRedisStore } from '../harness/redis-store.ts';

/**
 * Something that speaks the protocol and is no Redis: a proxy that answers on its own, say. Replies by command name, one
 * after the other; the last stays.
 */
async function startOddServer(
  replies: Record<string, readonly string[]>,
): Promise<{ server: Server; port: number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      // Each command begins with `*<count>`, then the length of its name, then the name.
      for (const [, name = ''] of data.toString('latin1').matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const key = name.toLowerCase();
        const [reply = '+OK\r\n', ...later] = replies[key] ?? [];
        if (later.length > 0) replies[key] = later;
        socket.write(reply);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  };
  return { server, port, stop };
}

const bulk = (text: string): string => `$${text.length}\r\n${text}\r\n`;
const noHello = { hello: ["-ERR unknown command 'HELLO'\r\n"] };
const info = { info: [bulk('redis_version:7.0.0\r\nrun_id:abc\r\n')] };
const settled = '*1\r\n+settled\r\n';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function openStoreOn(replies: Record<string, readonly string[]>): Promise<RedisStore> {
  const odd = await startOddServer({ ...noHello, ...replies });
  closers.push(odd.stop);
  const store = openRedisStore(
    { host: '127.0.0.1', port: odd.port },
    { connectTimeoutMs: 500, timeoutMs: 300, bulkTimeoutMs: 300 },
  );
  closers.push(() => store.close());
  return store;
}

describe('the Redis store and a server that answers oddly', () => {
  test('a server that tells no run id is never trusted, and the reason says so', async () => {
    const store = await openStoreOn({ info: [bulk('redis_version:7.0.0\r\n')] });
    await eventually(async () => store.downReason === 'INFO server tells no run_id');
    await expect(store.ping()).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test.each([
    ['an array', ':1\r\n', /replied number where an array was expected/],
    ['an array for each place', '*1\r\n:7\r\n', /replied number where an array was expected/],
    ['a text', '*1\r\n*1\r\n:7\r\n', /replied number where a string was expected/],
    ['a number', '*1\r\n*2\r\n+wait\r\n+soon\r\n', /where a number was expected/],
    ['no null', '*1\r\n*2\r\n+wait\r\n$-1\r\n', /replied null where a number was expected/],
  ])(
    'a reply that should be %s is an outage with a clear reason, not a wrong answer',
    async (_what, reply, message) => {
      const store = await openStoreOn({ ...info, evalsha: [settled, reply] });
      await eventually(async () => store.downReason === undefined);
      const acquiring = store.acquire('k', 100);
      await expect(acquiring).rejects.toBeInstanceOf(StoreUnavailable);
      await expect(acquiring).rejects.toThrow(message);
    },
  );

  test('replies for fewer places than were asked for are those of none', async () => {
    const store = await openStoreOn({ ...info, evalsha: [settled, '*1\r\n*1\r\n+bypass\r\n'] });
    await eventually(async () => store.downReason === undefined);
    const acquired = await Promise.allSettled([store.acquire('k', 100), store.acquire('l', 100)]);
    for (const each of acquired) {
      expect(each).toMatchObject({ status: 'rejected', reason: expect.any(StoreUnavailable) });
    }
  });
});
