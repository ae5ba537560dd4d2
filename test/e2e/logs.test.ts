import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';
import { expect, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { startDatabaseServer } from '../harness/database-server.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import {
  type ProcessOptions,
  type ServiceProcess,
  startProgram,
  startServiceProcess,
} from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What the program writes to its standard output while it serves, and what it never writes. */

const stops = stopAfterEach();

async function start(options: ProcessOptions): Promise<ServiceProcess> {
  const service = await startServiceProcess(options);
  stops.push(service.stop);
  return service;
}

type LogLine = Record<string, unknown>;

function logOf(service: ServiceProcess, message: string): LogLine[] {
  return service.lines.map((line) => JSON.parse(line)).filter((line: LogLine) => line['msg'] === message);
}

/** The log line is written after the answer: waits until there are `count`. */
async function requestLines(service: ServiceProcess, count: number): Promise<LogLine[]> {
  await eventually(async () => logOf(service, 'request').length >= count);
  return logOf(service, 'request');
}

async function execute(schema: DatabaseSchema, sql: string): Promise<void> {
  const { host, port, username, password, name } = schema;
  const connection = await createConnection({ host, port, user: username, password, database: name });
  try {
    await connection.query(sql);
  } finally {
    await connection.end();
  }
}

test('one JSON line per request: id, route, method, status, duration, what the cache did', async () => {
  const service = await start({});
  await service.get('/cache/posts/1?token=query');
  await service.get('/cache/posts/1');
  await service.get('/cache/posts?limit=2');
  await service.request('PUT', '/cache/posts/1', { title: 'changed' });
  await service.get('/cache/posts/0');
  await service.get('/cache/posts/99');
  await service.request('PATCH', '/cache/posts/1');
  await service.get('/nowhere');
  await service.request('POST', '/cache/posts', '{');
  await service.get('/cache/health');
  const lines = await requestLines(service, 10);
  expect(lines.map(({ method, route, status, cache }) => [method, route, status, cache])).toEqual([
    ['GET', '/cache/posts/:id', 200, 'loaded'],
    ['GET', '/cache/posts/:id', 200, 'hit'],
    ['GET', '/cache/posts', 200, 'loaded'],
    ['PUT', '/cache/posts/:id', 200, undefined],
    ['GET', '/cache/posts/:id', 400, undefined],
    ['GET', '/cache/posts/:id', 404, 'loaded'],
    ['PATCH', '/cache/posts/:id', 405, undefined],
    ['GET', 'none', 404, undefined],
    ['POST', '/cache/posts', 400, undefined],
    ['GET', '/cache/health', 200, undefined],
  ]);
  for (const line of lines) {
    expect(
      Object.keys(line)
        .filter((key) => key !== 'cache')
        .toSorted(),
    ).toEqual(['durationMs', 'level', 'method', 'msg', 'reqId', 'route', 'status', 'time'].toSorted());
    expect(typeof line['durationMs'] === 'number' && line['durationMs'] > 0 && line['durationMs'] < 10_000).toBe(true);
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  }
  expect(new Set(lines.map((line) => line['reqId'])).size).toBe(lines.length);
});

test('a fault is logged with its stack under the request id of the answer, and nothing of it is shown', async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
  stops.push(redis.stop, schema.drop);
  const service = await start({ environment: environmentOf(redis, schema) });
  await execute(schema, 'ALTER TABLE posts DROP COLUMN content');
  const answer = await service.get('/cache/posts');
  expect(answer.status).toBe(500);
  expect(answer.json).toMatchObject({ code: 'INTERNAL', message: 'Internal server error' });
  expect(answer.text).not.toMatch(/content|SELECT|\.ts|node_modules/);
  await requestLines(service, 1);
  const [fault] = logOf(service, 'request failed');
  expect(fault?.['reqId']).toBe(answer.json.requestId);
  expect(fault).toMatchObject({ level: 50, err: { message: expect.stringContaining('Unknown column') } });
  expect(JSON.stringify(fault)).toMatch(/"stack":"[^"]*\bat .*\.ts:\d+/);
});

test('no secret reaches the log: of any setting, header or body, on any route, whatever fails', async () => {
  const marked = `marked${randomBytes(6).toString('hex')}`;
  const [flavour] = sharedDatabases().map((each) => each.flavour);
  const [redis, server] = await Promise.all([
    startRedis({ password: `${marked}-redis`, ownProcess: true }),
    startDatabaseServer(flavour ?? 'mysql', { password: `${marked}-db`, ownProcess: true }),
  ]);
  stops.push(redis.stop, server.stop);
  const schema = await createSchema(server);
  const secret = `${marked}-realtime`;
  const service = await start({
    environment: {
      REDIS_URL: redis.url,
      DATABASE_URL: `mysql://root:${marked}-db@${schema.host}:${schema.port}/${schema.name}`,
      REALTIME_API_SECRET: secret,
      LOG_LEVEL: 'debug',
    },
  });
  await service.line(/Cache: Redis at \S+ is in use/);
  await execute(
    schema,
    `INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '${marked}-hash')`,
  );

  const headers: Record<string, string> = {
    authorization: `Bearer ${marked}-header`,
    cookie: `session=${marked}-cookie`,
    'x-internal-secret': secret,
    'x-api-key': `${marked}-api`,
  };
  const post = { title: `${marked}-title`, content: `${marked}-content`, user_id: 1, password: `${marked}-body` };
  const routes: [string, string, unknown?][] = [
    ['GET', '/cache/posts'],
    ['GET', `/cache/posts?limit=2&token=${marked}-query`],
    ['GET', `/cache/posts?after=${marked}`],
    ['POST', '/cache/posts', post],
    ['POST', '/cache/posts', { ...post, title: 'another body under the same key' }],
    ['POST', '/cache/posts', { ...post, user_id: 77 }],
    ['POST', '/cache/posts', { ...post, title: '' }],
    ['POST', '/cache/posts', `{"title":"${marked}`],
    ['GET', '/cache/posts/1'],
    ['GET', `/cache/posts/${marked}`],
    ['PUT', '/cache/posts/1', { title: `${marked}-new` }],
    ['PUT', '/cache/posts/1', { content: 'x'.repeat(70_000) + marked }],
    ['PATCH', '/cache/posts/1', post],
    ['DELETE', '/cache/posts/1', { user_id: 2, password: marked }],
    ['GET', '/cache/health'],
    ['POST', '/internal/broadcast', { event: `${marked}-event`, data: { password: `${marked}-data` } }],
    ['POST', '/internal/broadcast', { event: 'error', data: marked }],
    ['GET', `/${marked}`],
  ];
  let count = 0;
  const drive = async (): Promise<Set<number>> => {
    const statuses = new Set<number>();
    headers['idempotency-key'] = `${marked}-key-${count}`;
    for (const [method, path, body] of routes)
      statuses.add((await service.request(method, path, body, headers)).status);
    count += routes.length;
    await requestLines(service, count);
    // Refused by the router, before there is a request to log.
    await service.get(`/%zz${marked}`, headers);
    return statuses;
  };
  expect([...(await drive())].toSorted()).toEqual([200, 201, 400, 403, 404, 405, 422]);
  // The value that does not fit is in the text of the server's error.
  await execute(schema, 'DELETE FROM posts');
  await execute(schema, 'ALTER TABLE posts MODIFY title INT');
  expect(await drive()).toContain(500);
  await execute(schema, 'DROP TABLE posts');
  expect(await drive()).toContain(503);
  await redis.kill();
  await server.kill();
  expect(await drive()).toContain(503);
  await sendMalformed(service.port, marked);

  service.signal('SIGTERM');
  expect((await service.ended).code).toBe(0);
  const leaked = [...service.lines, ...service.errors.split('\n')].filter((line) => line.includes(marked));
  expect(leaked).toEqual([]);
}, 60_000);

/** What never becomes a request. */
async function sendMalformed(port: number, marked: string): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.end(`GET / HTTP/1.1\r\nhost: h\r\nx-internal-secret : ${marked}\r\nbad header ${marked}\r\n\r\n`);
  socket.resume();
  await once(socket, 'close');
}

test('LOG_REQUESTS=false logs no request', async () => {
  const service = await start({ environment: { LOG_REQUESTS: 'false' } });
  const before = service.lines.length;
  for (const path of ['/cache/posts', '/cache/posts', '/nowhere']) await service.get(path);
  service.signal('SIGTERM');
  await service.ended;
  expect(service.lines.slice(before).map((line) => JSON.parse(line).msg)).toEqual(['Stopping: SIGTERM', 'Stopped']);
});

test('LOG_LEVEL=silent is silent', async () => {
  const port = await findFreePort();
  const program = await startProgram({ environment: { LOG_LEVEL: 'silent', HOST: '127.0.0.1', PORT: String(port) } });
  stops.push(program.stop);
  await eventually(
    async () => (await fetch(`http://127.0.0.1:${port}/nowhere`).catch(() => undefined))?.status === 404,
  );
  program.signal('SIGTERM');
  expect((await program.ended).code).toBe(0);
  expect([program.lines, program.errors]).toEqual([[], '']);
});

test('LOG_FORMAT=pretty is for people: a time, a level and a sentence, without colours off a terminal', async () => {
  const service = await start({ environment: { LOG_FORMAT: 'pretty' } });
  await service.get('/cache/posts/1');
  await service.line(/request$/);
  expect(service.lines[0]).toMatch(/^\[\d\d:\d\d:\d\d\.\d+\] INFO: Database: embedded SQLite, in memory/);
  expect(service.lines.join('\n')).toMatch(
    /INFO: request\n\s+reqId: .*\n\s+method: "GET"\n\s+route: "\/cache\/posts\/:id"\n\s+status: 200/,
  );
  expect(service.lines.join('')).not.toContain('\u001b');
});
