import { expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSchema } from '../harness/database-schema.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { type ProcessOptions, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What a user sees who starts the program: on nothing, on a file, on real servers. */

const stops = stopAfterEach();

async function start(options: ProcessOptions): Promise<ServiceProcess> {
  const service = await startServiceProcess(options);
  stops.push(service.stop);
  return service;
}

/** What the log says, without what differs from line to line. */
function messages(service: ServiceProcess): string[] {
  return service.lines.map((line) => String(JSON.parse(line).msg));
}

test('says who may write: as a warning where everybody may in production, else as a line like others', async () => {
  const environment = {
    NODE_ENV: 'production',
    REDIS_URL: 'redis://127.0.0.1:1',
    DATABASE_URL: 'mysql://127.0.0.1:1/d',
  };
  const open = await start({ environment: { ...environment, ALLOW_OPEN_WRITES: 'true' } });
  expect(JSON.parse(await open.line(/Writes: open to everybody/))).toMatchObject({ level: 40 });
  const closed = await start({ environment: { ...environment, JWT_SECRET: 'x'.repeat(32) } });
  expect(JSON.parse(await closed.line(/Writes: only with a token of a user/))).toMatchObject({ level: 30 });
});

test('runs on nothing but Node: says so, and answers with sample rows', async () => {
  const service = await start({});
  expect(messages(service)).toEqual([
    'Database: embedded SQLite, in memory: connected; created users, posts, cache_outbox, cache_idempotency_keys, cache_barrier',
    'Writes: open to everybody who reaches the port (set JWT_SECRET or JWT_JWKS_URL)',
    'Cache: embedded, in this process (set REDIS_HOST and DB_HOST to use servers)',
    `HTTP: listening on ${service.url}`,
  ]);
  const first = await service.get('/cache/posts');
  expect(first.status).toBe(200);
  expect(first.json.source).toBe('database');
  expect(first.json.data).toHaveLength(3);
  expect((await service.get('/cache/posts')).json.source).toBe('cache');
  expect((await service.get('/cache/health')).json.services).toEqual({ redis: 'healthy', mysql: 'healthy' });
  expect(service.errors).toBe('');
});

test('EMBEDDED_DATA keeps the rows over a restart, also over a kill, and adds no samples again', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
  stops.push(() => rm(folder, { recursive: true }));
  const environment = { EMBEDDED_DATA: join(folder, 'posts.db') };

  const first = await start({ environment });
  await first.request('POST', '/cache/posts', { title: 'kept', content: 'c', user_id: 1 });
  first.signal('SIGTERM');
  expect((await first.ended).code).toBe(0);

  const second = await start({ environment });
  expect(messages(second)[0]).toBe(
    `Database: embedded SQLite, file ${environment.EMBEDDED_DATA}: connected; all tables are there`,
  );
  expect((await second.get('/cache/posts/4')).json.data.title).toBe('kept');
  await second.request('PUT', '/cache/posts/4', { title: 'kept too' });
  await second.request('DELETE', '/cache/posts/1');
  await second.stop();

  const third = await start({ environment });
  const titles = (await third.get('/cache/posts')).json.data.map((post: { title: string }) => post.title);
  expect(titles).toEqual(['kept too', 'Change it', 'Read it twice']);
});

test.each(sharedDatabases().map((server) => [`${server.flavour} ${server.version}`, server] as const))(
  'on %s and Redis: one line for each part, and the tables are made once',
  async (_, server) => {
    const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
    stops.push(redis.stop, schema.drop);
    const environment = environmentOf(redis, schema);

    const first = await start({ environment });
    await first.line(/Cache: Redis at \S+ is in use/);
    const address = `${schema.host}:${schema.port}`;
    expect(messages(first).toSorted()).toEqual([
      expect.stringMatching(new RegExp(`^Cache: Redis at ${redis.host}:${redis.port} is in use \\(run [\\w.]+\\)$`)),
      `Database: ${address}: connected; created users, posts, cache_outbox, cache_idempotency_keys, cache_barrier`,
      `HTTP: listening on ${first.url}`,
      'Writes: open to everybody who reaches the port (set JWT_SECRET or JWT_JWKS_URL)',
    ]);
    expect((await first.get('/cache/posts')).json).toMatchObject({ data: [], source: 'database' });

    const second = await start({ environment });
    await second.line(new RegExp(`Database: ${address}: connected; all tables are there`));
    await second.line(/Cache: Redis at \S+ is in use/);
    expect((await second.get('/cache/posts')).json).toMatchObject({ data: [], source: 'cache' });
  },
);
