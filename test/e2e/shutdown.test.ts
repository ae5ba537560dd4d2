import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { io, type Socket as LiveClient } from 'socket.io-client';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { eventually } from '../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy } from '../harness/tcp-proxy.ts';

/** The end of the process: what is in flight is answered, everybody else is sent away, and it never takes too long. */

const stops: (() => Promise<void>)[] = [];
let leaks: LeakCheck;
let redis: RedisServer;
let schema: DatabaseSchema;

beforeAll(async () => {
  leaks = trackLeaks();
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
});

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

afterAll(async () => {
  await Promise.all([redis.stop(), schema.drop()]);
  await leaks.check();
});

/** On real servers, with one post; a statement may wait for a lock for a long time. */
async function start(environment: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startServiceProcess({
    environment: { ...environmentOf(redis, schema), DB_STATEMENT_TIMEOUT_MS: '60000', ...environment },
  });
  stops.push(service.stop);
  await service.line(/Cache: Redis at \S+ is in use/);
  const sql = await dial();
  await sql.query("INSERT IGNORE INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
  await sql.query("INSERT IGNORE INTO posts (id, title, content, user_id) VALUES (1, 'old', 'c', 1)");
  return service;
}

async function dial(): Promise<Connection> {
  const { host, port, username, password, name } = schema;
  const connection = await createConnection({ host, port, user: username, password, database: name });
  stops.push(() => connection.end());
  return connection;
}

/** Holds the row of post 1, so that an update of it has to wait. */
async function holdRow(): Promise<Connection> {
  const connection = await dial();
  await connection.query('START TRANSACTION');
  await connection.query('SELECT id FROM posts WHERE id = 1 FOR UPDATE');
  return connection;
}

async function untilWaitingForRow(): Promise<void> {
  const connection = await dial();
  await eventually(async () => {
    // Not `innodb_trx`: that is renewed only when nobody has asked for 0.1 s.
    const [rows] = await connection.query<RowDataPacket[]>(
      "SELECT 1 FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID() AND info LIKE 'SELECT % FOR UPDATE'",
      [schema.name],
    );
    return rows.length > 0;
  });
}

function isRefused(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

async function connectLive(service: ServiceProcess, transport: 'websocket' | 'polling'): Promise<LiveClient> {
  const client = io(service.url, { transports: [transport], reconnection: false });
  stops.push(async () => {
    client.disconnect();
  });
  await new Promise<void>((resolve, reject) => {
    client.on('connect', resolve);
    client.on('connect_error', reject);
  });
  return client;
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  '%s: requests in flight end well, live clients are sent away, nobody new comes in',
  async (signal) => {
    const service = await start();
    const clients = await Promise.all([connectLive(service, 'websocket'), connectLive(service, 'polling')]);
    const goodbyes = clients.map((client) => new Promise<string>((resolve) => client.on('disconnect', resolve)));
    const holder = await holdRow();
    const title = `changed before ${signal}`;
    const update = service.request('PUT', '/cache/posts/1', { title });
    await untilWaitingForRow();

    service.signal(signal);
    await service.line(new RegExp(`Stopping: ${signal}`));
    await eventually(() => isRefused(service.port));
    expect(await Promise.all(goodbyes)).toEqual([
      'transport close',
      expect.stringMatching(/io server disconnect|transport/),
    ]);
    expect(service.lines.some((line) => line.includes('Stopped'))).toBe(false);
    await holder.query('ROLLBACK');

    const answer = await update;
    expect([answer.status, answer.json.data.title]).toEqual([200, title]);
    const { code, afterMs } = await service.ended;
    expect(code).toBe(0);
    expect(afterMs).toBeLessThan(10_000);
    expect(service.lines.at(-1)).toContain('Stopped');
    expect(service.errors).toBe('');
  },
);

test('a connection that was kept open does not keep the process once its request is answered', async () => {
  const service = await start();
  const holder = await holdRow();
  const socket = await open(service);
  const answers = read(socket);
  const body = JSON.stringify({ title: 'over a kept connection' });
  socket.write(
    `PUT /cache/posts/1 HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await untilWaitingForRow();
  service.signal('SIGTERM');
  await service.line(/Stopping: SIGTERM/);
  await eventually(() => isRefused(service.port));
  await holder.query('ROLLBACK');
  const text = await answers;
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text).toContain('over a kept connection');
  const { code, afterMs } = await service.ended;
  expect(code).toBe(0);
  expect(afterMs).toBeLessThan(3_000);
});

test('idle connections do not keep the process', async () => {
  const service = await start();
  const socket = await open(service);
  const answers = read(socket);
  socket.write('GET /cache/health HTTP/1.1\r\nhost: h\r\n\r\n');
  await service.line(/"route":"\/cache\/health"/);
  service.signal('SIGTERM');
  const { code, afterMs } = await service.ended;
  expect(code).toBe(0);
  expect(afterMs).toBeLessThan(3_000);
  expect(await answers).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
});

test('a request that never gets its answer is cut off in time', async () => {
  const service = await start({ SHUTDOWN_TIMEOUT_MS: '1000' });
  await holdRow();
  const update = service.request('PUT', '/cache/posts/1', { title: 'never' }).then(
    () => 'answered',
    () => 'cut off',
  );
  await untilWaitingForRow();
  service.signal('SIGTERM');
  const { signal, afterMs } = await service.ended;
  expect(signal).toBeNull();
  expect(await update).toBe('cut off');
  expect(afterMs).toBeGreaterThanOrEqual(1_000);
  expect(afterMs).toBeLessThan(2_000 + startMs);
});

test('a request that never arrives is cut off in time', async () => {
  const service = await start({ SHUTDOWN_TIMEOUT_MS: '500', REQUEST_TIMEOUT_MS: '60000' });
  const socket = await open(service);
  socket.write(
    'POST /cache/posts HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"title":',
  );
  // Answered over another connection, so the first bytes of this one have been read as well.
  await service.get('/cache/health');
  service.signal('SIGTERM');
  const { signal, afterMs } = await service.ended;
  expect(signal).toBeNull();
  expect(afterMs).toBeLessThan(1_500 + startMs);
});

test('servers that hang do not keep the process', async () => {
  const proxies = await Promise.all([startProxy(redis), startProxy(schema)]);
  stops.push(async () => void (await Promise.all(proxies.map((proxy) => proxy.close()))));
  const [cache, database] = proxies;
  const environment = {
    REDIS_URL: `redis://127.0.0.1:${cache.port}`,
    DB_PORT: String(database.port),
    SHUTDOWN_TIMEOUT_MS: '1000',
  };
  const service = await start(environment);
  for (const proxy of proxies) proxy.blackHole();
  const read = service.get('/cache/posts').then(
    () => 'answered',
    () => 'cut off',
  );
  service.signal('SIGTERM');
  const { signal, afterMs } = await service.ended;
  expect(signal).toBeNull();
  expect(['answered', 'cut off']).toContain(await read);
  expect(afterMs).toBeLessThan(2_000 + startMs);
});

/** What a busy machine adds to any time that is measured here. */
const startMs = 1_000;

async function open(service: ServiceProcess): Promise<Socket> {
  const socket = connect(service.port, '127.0.0.1');
  stops.push(async () => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return socket;
}

async function read(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes) => {
    text += String(bytes);
  });
  await once(socket, 'close');
  return text;
}
