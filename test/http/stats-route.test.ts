import { describe, expect, test } from '@jest/globals';
import { createSchema } from '../harness/database-schema.ts';
import { startRedis } from '../harness/redis-server.ts';
import { backends, environmentOf, eventually, startService } from '../harness/service.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { connectClient } from '../harness/live-client.ts';
import { stopAfterEach } from '../harness/stops.ts';

const stops = stopAfterEach();
const secret = 'of-the-test';
const headers = { 'x-internal-secret': secret };

describe.each(backends.slice(0, 2))('GET /internal/stats on $name', ({ start }) => {
  test('tells what was read, through the fast lane too', async () => {
    const backend = await start();
    const service = await startService({ ...backend.environment, REALTIME_API_SECRET: secret });
    stops.push(backend.stop, service.stop);
    await eventually(async () => (await service.get('/cache/posts?limit=1')).json.source === 'cache');
    const client = await connectClient(service.url);
    // From now on somebody asks.
    await service.get('/internal/stats', headers);
    for (let round = 0; round < 40; round += 1) await service.get('/cache/posts?limit=1');
    const { status, json, headers: answered } = await service.get('/internal/stats', headers);
    expect([status, answered.get('cache-control')]).toEqual([200, 'no-store']);
    expect(json).toMatchObject({
      process: { pid: process.pid, worker: null },
      memoryTier: { entries: 1 },
      sockets: 1,
      services: { redis: expect.any(Number), mysql: expect.any(Number) },
    });
    expect(json.rates.requests).toBeGreaterThan(0);
    expect(json.rates.memoryHits).toBeGreaterThan(0);
    expect(json.hitRatio).toBeGreaterThan(0.5);
    expect(json.latency.p99Ms).toBeGreaterThanOrEqual(json.latency.p50Ms);
    expect(json.hottest[0].key).toBe('posts:all#limit=1');
    client.close();
  });
});

test('only with the secret, and only to be read', async () => {
  const service = await startService({ REALTIME_API_SECRET: secret });
  stops.push(service.stop);
  expect((await service.get('/internal/stats')).status).toBe(403);
  expect((await service.get('/internal/stats', { 'x-internal-secret': 'other' })).status).toBe(403);
  expect((await service.request('POST', '/internal/stats', {}, headers)).status).toBe(405);
  const { json } = await service.get('/internal/stats', headers);
  expect(json).toMatchObject({ hitRatio: null, latency: null, hottest: [] });
  const closed = await startService({});
  stops.push(closed.stop);
  expect((await closed.get('/internal/stats', { 'x-internal-secret': '' })).status).toBe(403);
});

test('a Redis that hangs is not waited for', async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [redis, schema] = await Promise.all([startRedis({ ownProcess: true }), createSchema(server)]);
  stops.push(redis.stop, schema.drop);
  const service = await startService({
    ...environmentOf(redis, schema),
    // Longer than the route waits.
    REDIS_TIMEOUT_MS: '20000',
    REDIS_CONNECT_TIMEOUT_MS: '20000',
    REALTIME_API_SECRET: secret,
  });
  stops.push(service.stop);
  await eventually(async () => (await service.get('/internal/stats', headers)).json.services.redis !== null);
  await redis.pause();
  stops.push(redis.resume);
  const { json } = await service.get('/internal/stats', headers);
  expect(json.services).toEqual({ redis: null, mysql: expect.any(Number) });
});

test('a Redis and a database that are away', async () => {
  const service = await startService({
    REDIS_HOST: '127.0.0.1',
    REDIS_PORT: '1',
    DB_HOST: '127.0.0.1',
    DB_PORT: '1',
    REALTIME_API_SECRET: secret,
  });
  stops.push(service.stop);
  const { json } = await service.get('/internal/stats', headers);
  expect(json.services).toEqual({ redis: null, mysql: null });
});
