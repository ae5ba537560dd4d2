import { describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { type DatabaseServerAddress, startDatabaseServer } from '../harness/database-server.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy } from '../harness/tcp-proxy.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Servers that are not there yet, go away and come back, under a service that goes on. */

const stops = stopAfterEach();

async function start(environment: Record<string, string>): Promise<ServiceProcess> {
  const service = await startServiceProcess({ environment });
  stops.push(service.stop);
  return service;
}

async function openSchema(): Promise<DatabaseSchema> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  return schema;
}

async function query(
  server: Pick<DatabaseServerAddress, 'host' | 'port' | 'username' | 'password'>,
  sql: string,
): Promise<RowDataPacket[]> {
  const { host, port, username, password } = server;
  const connection = await createConnection({ host, port, user: username, password });
  try {
    const [rows] = await connection.query<RowDataPacket[]>(sql);
    return rows;
  } finally {
    await connection.end();
  }
}

const addUser = (schema: string): string =>
  `INSERT INTO \`${schema}\`.users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')`;

async function outboxOf(schema: DatabaseSchema): Promise<string[]> {
  const rows = await query(schema, `SELECT cache_key FROM \`${schema.name}\`.cache_outbox ORDER BY cache_key`);
  return rows.map((row) => String(row['cache_key']));
}

function countLines(service: ServiceProcess, pattern: RegExp): number {
  return service.lines.filter((line) => pattern.test(line)).length;
}

const inUse = /Cache: Redis at \S+ is in use \(run /;

describe('missing at the start', () => {
  test('Redis: reads come from the database, writes succeed, and the cache is used once it comes', async () => {
    const schema = await openSchema();
    const port = await findFreePort();
    const service = await start({ ...environmentOf({ url: `redis://127.0.0.1:${port}` }, schema) });
    await service.line(
      new RegExp(`Cache: Redis at 127.0.0.1:${port} is not in use: connect ECONNREFUSED .*; reads go to the database`),
    );
    await service.line(/Database: \S+: connected; created users, posts/);
    await query(schema, addUser(schema.name));

    const post = { title: 't', content: 'c', user_id: 1 };
    expect((await service.request('POST', '/cache/posts', post)).status).toBe(201);
    expect((await service.request('PUT', '/cache/posts/1', { title: 'changed' })).status).toBe(200);
    for (let turn = 0; turn < 2; turn++) {
      const read = await service.get('/cache/posts/1');
      expect([read.json.source, read.json.data.title]).toEqual(['database', 'changed']);
      expect(read.headers.get('cache-status')).toContain('fwd=bypass');
    }
    const health = await service.get('/cache/health');
    expect([health.status, health.json.services]).toEqual([503, { redis: 'unhealthy', mysql: 'healthy' }]);
    expect(new Set(await outboxOf(schema))).toEqual(new Set(['post:1', 'posts:all', 'posts:rows:0']));
    // Attempts go on by the second; the log does not fill with them.
    expect(countLines(service, /is not in use/)).toBe(1);

    const redis = await startRedis({ port, ownProcess: true });
    stops.push(redis.stop);
    await service.line(inUse);
    expect(await outboxOf(schema)).toEqual([]);
    expect((await service.get('/cache/posts/1')).json.source).toBe('database');
    expect((await service.get('/cache/posts/1')).json).toMatchObject({ source: 'cache', data: { title: 'changed' } });
    expect((await service.get('/cache/health')).status).toBe(200);
  });

  test('the database: 503 with Retry-After, health names it, and all works once it comes', async () => {
    const redis = await startRedis();
    stops.push(redis.stop);
    const port = await findFreePort();
    const [flavour] = sharedDatabases().map((each) => each.flavour);
    const service = await start({
      REDIS_URL: redis.url,
      DB_HOST: '127.0.0.1',
      DB_PORT: String(port),
      DB_DATABASE: 'late',
    });
    await service.line(
      new RegExp(`Database: 127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port}; trying again until it answers`),
    );

    const refused = [
      await service.get('/cache/posts'),
      await service.get('/cache/posts/1'),
      await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 }),
      await service.request('PUT', '/cache/posts/1', { title: 't' }),
      await service.request('DELETE', '/cache/posts/1'),
    ];
    for (const { status, headers, json } of refused) {
      expect([status, headers.get('retry-after'), headers.get('content-type')]).toEqual([
        503,
        '1',
        'application/problem+json; charset=utf-8',
      ]);
      expect(json).toMatchObject({ code: 'DATABASE_UNAVAILABLE', message: expect.stringMatching(/./) });
      expect(JSON.stringify(json)).not.toMatch(/ECONNREFUSED|127\.0\.0\.1/);
    }
    const health = await service.get('/cache/health');
    expect([health.status, health.json.status, health.json.services.mysql]).toEqual([503, 'error', 'unhealthy']);
    expect((await service.get('/cache/posts/0')).status).toBe(400);
    expect(countLines(service, /trying again until it answers/)).toBe(1);

    const database = await startDatabaseServer(flavour ?? 'mysql', { port, ownProcess: true });
    stops.push(database.stop);
    // The reason has changed, so it is told again.
    await service.line(/Database: \S+: Unknown database 'late'; trying again until it answers/);
    await query(database, 'CREATE DATABASE late CHARACTER SET utf8mb4');
    await service.line(/Database: \S+: connected; created users, posts/);
    await service.line(inUse);
    await query(database, addUser('late'));
    expect((await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 })).status).toBe(201);
    expect((await service.get('/cache/posts')).json.source).toBe('database');
    expect((await service.get('/cache/posts')).json.source).toBe('cache');
    expect((await service.get('/cache/health')).status).toBe(200);
  }, 60_000);

  test('both, by names that do not resolve: one clear line each', async () => {
    const service = await start({ REDIS_HOST: 'cache.invalid', DB_HOST: 'database.invalid' });
    await service.line(/Cache: Redis at cache\.invalid:6379 is not in use: getaddrinfo \w+ cache\.invalid;/);
    await service.line(
      /Database: database\.invalid:3306: getaddrinfo \w+ database\.invalid; trying again until it answers/,
    );
    expect((await service.get('/cache/posts')).status).toBe(503);
    const { json } = await service.get('/cache/health');
    expect(json.services).toEqual({ redis: 'unhealthy', mysql: 'unhealthy' });
  });
});

describe('Redis away while the service runs', () => {
  const ways: [string, () => Promise<{ url: string; stop(): Promise<void>; resume(): Promise<void> }>][] = [
    [
      'stopped and started again, with all entries of before',
      async () => {
        const redis = await startRedis({
          ownProcess: true,
          config: ['--appendonly', 'yes', '--appendfsync', 'always'],
        });
        stops.push(redis.stop);
        return { url: redis.url, stop: redis.kill, resume: redis.restart };
      },
    ],
    [
      'cut off, with all entries and the run id of before',
      async () => {
        const redis = await startRedis({ ownProcess: true });
        const proxy = await startProxy(redis);
        stops.push(redis.stop, proxy.close);
        return { url: `redis://127.0.0.1:${proxy.port}`, stop: proxy.refuse, resume: proxy.restore };
      },
    ],
  ];

  test.each(ways)('%s: reads and writes go on, and nothing of before is served afterwards', async (_, open) => {
    const [redis, schema] = await Promise.all([open(), openSchema()]);
    const service = await start(environmentOf(redis, schema));
    await service.line(inUse);
    await query(schema, addUser(schema.name));
    await service.request('POST', '/cache/posts', { title: 'old', content: 'c', user_id: 1 });
    for (const path of ['/cache/posts', '/cache/posts', '/cache/posts/1', '/cache/posts/1', '/cache/posts/2'])
      await service.get(path);
    expect((await service.get('/cache/posts/1')).json.source).toBe('cache');

    await redis.stop();
    await service.line(/Cache: Redis at \S+ is not in use: /);
    expect((await service.get('/cache/posts/1')).json).toMatchObject({ source: 'database', data: { title: 'old' } });
    expect((await service.request('PUT', '/cache/posts/1', { title: 'new' })).status).toBe(200);
    expect((await service.request('POST', '/cache/posts', { title: 'second', content: 'c', user_id: 1 })).status).toBe(
      201,
    );
    expect((await service.get('/cache/posts')).json.data.map((post: { title: string }) => post.title)).toEqual([
      'second',
      'new',
    ]);
    expect(new Set(await outboxOf(schema))).toEqual(new Set(['post:1', 'post:2', 'posts:all', 'posts:rows:0']));

    await redis.resume();
    // From the first moment on, not only once the cache is in use again.
    const seen: string[] = [];
    while (countLines(service, inUse) < 2) seen.push((await service.get('/cache/posts/1')).json.data.title);
    expect(seen.filter((title) => title !== 'new')).toEqual([]);
    expect((await service.get('/cache/posts/1')).json.data.title).toBe('new');
    expect((await service.get('/cache/posts/2')).status).toBe(200);
    expect((await service.get('/cache/posts')).json.data).toHaveLength(2);
    expect(await outboxOf(schema)).toEqual([]);
    expect((await service.get('/cache/posts/1')).json.source).toBe('cache');

    const client = new Redis(redis.url, { lazyConnect: true });
    await client.connect();
    expect(JSON.parse((await client.get('post:1')) ?? '{}').title).toBe('new');
    expect(JSON.parse((await client.get('posts:all')) ?? '[]')).toHaveLength(2);
    client.disconnect();
  });

  test('WRITE_WITHOUT_CACHE=reject: writes are refused with Retry-After and change nothing', async () => {
    const schema = await openSchema();
    const port = await findFreePort();
    const service = await start({
      ...environmentOf({ url: `redis://127.0.0.1:${port}` }, schema),
      WRITE_WITHOUT_CACHE: 'reject',
    });
    await query(schema, addUser(schema.name));
    const answer = await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 });
    expect([answer.status, answer.json.code, answer.headers.get('retry-after')]).toEqual([
      503,
      'CACHE_UNREACHABLE',
      '1',
    ]);
    expect((await service.get('/cache/posts')).json.data).toEqual([]);
    expect(await outboxOf(schema)).toEqual([]);
  });
});
