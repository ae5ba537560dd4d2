import { expect, test } from '@jest/globals';
import { definitions, metricNames } from '../../src/operations/metrics/definitions.ts';
import type { Definition } from '../../src/operations/metrics/definitions.ts';
import { Distribution, Tallies } from '../../src/operations/metrics/tallies.ts';
import { connectClient } from '../harness/live-client.ts';
import { parseScrape, type Scrape } from '../harness/scrape.ts';
import { eventually } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';

const requests = 'energex_cache_requests_total';
const durations = 'energex_http_request_duration_seconds_count';

describeService('metrics', { environment: { REALTIME_API_SECRET: 's' } }, (given) => {
  const scrape = async (): Promise<Scrape> => parseScrape((await given.service.get('/metrics')).text);

  test('are told in the text format, all that are defined and fit the backend, and no others of that name', async () => {
    const reply = await given.service.get('/metrics');
    expect(reply.status).toBe(200);
    expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(reply.headers.get('cache-control')).toBe('no-store');
    const { names } = parseScrape(reply.text);
    const own = names.filter((name) => name.startsWith('energex_'));
    const wanted = metricNames().filter((name) => {
      const { needs }: Definition = definitions[name];
      return needs === undefined || (needs === 'servers' && given.stage.redis !== undefined);
    });
    expect(own.toSorted()).toEqual(wanted.toSorted());
    expect(names).toEqual(
      expect.arrayContaining([
        'process_start_time_seconds',
        'nodejs_eventloop_lag_p99_seconds',
        'nodejs_gc_duration_seconds',
        'process_resident_memory_bytes',
      ]),
    );
  });

  test('tell of misses, hits and absent rows, on the whole way and in the fast lane', async () => {
    await insertPost(given.database, { id: 1 });
    const route = { method: 'GET', route: '/cache/posts/:id' };
    const { etag } = Object.fromEntries((await given.service.get('/cache/posts/1')).headers);
    for (let count = 0; count < 3; count += 1) await given.service.get('/cache/posts/1');
    await given.service.get('/cache/posts/1', { 'if-none-match': etag ?? '' });
    await given.service.get('/cache/posts/77');
    await given.service.get('/cache/posts/77');
    await given.service.get('/cache/posts/nothing');
    await given.service.get('/cache/posts?limit=3');
    await given.service.get('/nowhere/1');
    const { value } = await scrape();
    expect(value(requests, { resource: 'posts', tier: 'database', result: 'miss' })).toBe(3);
    expect(value(requests, { resource: 'posts', tier: 'memory', result: 'hit' })).toBe(4);
    expect(value(requests, { resource: 'posts', result: 'negative_hit' })).toBe(1);
    expect(value('energex_cache_fill_duration_seconds_count')).toBe(3);
    expect(value(durations, { ...route, status: '200' })).toBe(4);
    expect(value(durations, { ...route, status: '304' })).toBe(1);
    expect(value(durations, { ...route, status: '404' })).toBe(2);
    expect(value(durations, { ...route, status: '400' })).toBe(1);
    expect(value(durations, { method: 'GET', route: '/cache/posts', status: '200' })).toBe(1);
    expect(value(durations, { route: 'none', status: '404' })).toBe(1);
    expect(value('energex_http_request_duration_seconds_bucket', { ...route, status: '200', le: '+Inf' })).toBe(4);
    expect(value('energex_http_request_duration_seconds_sum', { ...route, status: '200' })).toBeGreaterThan(0);
    expect(value('energex_cache_memory_bytes')).toBeGreaterThan(1_000);
  });

  test('have no label that a client could choose', async () => {
    await given.service.request('PROPFIND', '/cache/posts/1234567');
    await given.service.get('/nowhere/7654321?secret=1');
    const { text } = await given.service.get('/metrics');
    expect(text).not.toMatch(/PROPFIND|1234567|7654321|secret/);
    expect(parseScrape(text).value(durations, { method: 'other', status: '405' })).toBe(1);
  });

  test('tell of reads that shared their work', async () => {
    await insertPost(given.database, { id: 1 });
    await Promise.all(Array.from({ length: 20 }, async () => await given.service.get('/cache/posts/1')));
    const { value } = await scrape();
    expect(value('energex_cache_collapsed_requests_total')).toBe(value(requests, { result: 'collapsed' }));
    // Whatever way they took, each has counted once.
    expect(value(requests, { resource: 'posts' })).toBe(20);
  });

  test('tell of writes and broadcasts', async () => {
    const body = { title: 't', content: 'c', user_id: 1 };
    const { json } = await given.service.request('POST', '/cache/posts', body);
    const event = { event: 'post_updated', data: { id: json.data.id } };
    await given.service.request('POST', '/internal/broadcast', event, { 'x-internal-secret': 's' });
    const { value } = await scrape();
    expect(value('energex_cache_invalidations_total', { source: 'write' })).toBe(3);
    expect(value('energex_cache_invalidations_total', { source: 'broadcast' })).toBe(3);
    expect(value('energex_cache_unreached_steps_total')).toBe(0);
    expect(value(durations, { method: 'POST', route: '/cache/posts', status: '201' })).toBe(1);
  });

  test('tell of the clients of live events', async () => {
    const client = await connectClient(given.service.url);
    try {
      expect((await scrape()).value('energex_ws_connections')).toBe(1);
      const body = { title: 't', content: 'c', user_id: 1 };
      await given.service.request('POST', '/cache/posts', body);
      await eventually(async () => ((await scrape()).value('energex_ws_events_total') ?? 0) > 0);
    } finally {
      client.close();
    }
    await eventually(async () => (await scrape()).value('energex_ws_connections') === 0);
  });
});

describeService('metrics of the servers', { on: serverStages }, (given) => {
  test('tell of commands, statements and connections', async () => {
    await insertPost(given.database, { id: 1 });
    await given.service.get('/cache/posts/1');
    await given.service.get('/cache/posts/1');
    const { labelValues, value } = parseScrape((await given.service.get('/metrics')).text);
    expect(value('energex_redis_up')).toBe(1);
    const commands = labelValues('energex_redis_command_duration_seconds_count', 'command');
    expect(commands).toEqual(expect.arrayContaining(['acquire', 'fill', 'hget']));
    expect(value('energex_mysql_query_duration_seconds_count', { operation: 'select' })).toBeGreaterThan(0);
    expect(value('energex_mysql_query_errors_total')).toBe(0);
    expect(value('energex_mysql_pool_connections', { state: 'idle' })).toBeGreaterThan(0);
    expect(value('energex_mysql_pool_connections', { state: 'waiting' })).toBe(0);
  });

  test('tell when Redis or the database is away', async () => {
    const { service, toRedis, toDatabase } = await given.stage.behindProxies({
      environment: { DB_CONNECT_TIMEOUT_MS: '300', DB_ACQUIRE_TIMEOUT_MS: '300', REDIS_CONNECT_TIMEOUT_MS: '300' },
    });
    const scrape = async (): Promise<Scrape> => parseScrape((await service.get('/metrics')).text);
    await toRedis.refuse();
    await eventually(async () => (await scrape()).value('energex_redis_up') === 0);
    await service.get('/cache/posts/1');
    expect((await scrape()).value('energex_cache_bypasses_total', { reason: 'store-unavailable' })).toBeGreaterThan(0);
    await toDatabase.refuse();
    expect((await service.get('/cache/posts/1')).status).toBe(503);
    await toDatabase.restore();
    await toRedis.restore();
    await eventually(async () => (await scrape()).value('energex_redis_up') === 1);
  });
});

describeService(
  'metrics with a token',
  { environment: { METRICS_TOKEN: 'abc' }, on: serverStages.slice(0, 1) },
  (given) => {
    test.each([
      ['nothing', undefined, 403],
      ['another one', 'Bearer abd', 403],
      ['another scheme', 'Basic abc', 403],
      ['the right one', 'Bearer abc', 200],
    ])('are for those who send it: %s', async (_, authorization, status) => {
      const headers = authorization === undefined ? {} : { authorization };
      const reply = await given.service.get('/metrics', headers);
      expect(reply.status).toBe(status);
      expect(reply.text.includes('energex_build_info')).toBe(status === 200);
    });
  },
);

test('a duration counts in the first bucket whose bound is not smaller', () => {
  const tallies = new Tallies();
  const family = tallies.durations('energex_cache_fill_duration_seconds');
  const distribution: Distribution = family.at();
  for (const ms of [0.02, 0.021, 1, 11_000]) distribution.observe(ms);
  const [{ values } = { values: [] }] = tallies.read({ worker: '1' });
  const bucket = (le: number | string): number | undefined => values.find(({ labels }) => labels['le'] === le)?.value;
  expect([bucket(0.000_02), bucket(0.000_05), bucket(0.001), bucket(10), bucket('+Inf')]).toEqual([1, 2, 3, 3, 4]);
  const [sum, count] = values.slice(-2).map(({ value }) => value);
  expect(sum).toBeCloseTo(11.001_041, 9);
  expect(count).toBe(4);
  expect(values.every(({ labels }) => labels['worker'] === '1')).toBe(true);
});
