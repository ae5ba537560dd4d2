import { afterEach, expect, test } from '@jest/globals';
import { cacheChannel, publish } from '../../src/cache/channels.ts';
import { LiveFigures } from '../../src/operations/live-figures.ts';
import { durationBuckets } from '../../src/operations/metrics/definitions.ts';
import { Metrics } from '../../src/operations/metrics/metrics.ts';
import { posts } from '../../src/resources/posts/posts.ts';

/** Rates, latencies and hot keys of a process, with a clock of the test's own. */

let stop = (): void => undefined;
afterEach(() => stop());

async function open(random = 0) {
  let now = 0;
  let tick = (): void => undefined;
  let slept = 0;
  const clock = {
    now: () => now,
    random: () => random,
    every: (_ms: number, task: () => void) => {
      tick = task;
      return () => undefined;
    },
    sleep: async (ms: number) => {
      slept += ms;
    },
  };
  const metrics = new Metrics();
  const memory = { bytes: 0, evictions: 0 };
  await metrics.start({ resources: [posts], servers: undefined, hasFeed: false, memory, sockets: { connections: 0 } });
  const live = new LiveFigures(clock, () => metrics.totals(['/cache/posts']));
  const stopLive = live.start();
  stop = () => {
    stopLive();
    metrics.stop();
  };
  const request = (route: string, ms: number): void => metrics.durationOf('GET', route, 200).observe(ms);
  const seconds = (count: number): void => {
    for (let second = 0; second < count; second += 1) {
      now += 1_000;
      tick();
    }
  };
  return { live, request, seconds, slept: () => slept };
}

test('rates and latencies are those of the last ten seconds', async () => {
  const { live, request, seconds } = await open();
  expect(live.look(1).latency).toBeNull();
  for (let round = 0; round < 49; round += 1) request('/cache/posts/:id', 0.3);
  request('/cache/posts', 30);
  request('/cache/health', 9_000);
  seconds(5);
  expect(live.look(1).rates.requests).toBe(10);
  const { p50Ms = 0, p99Ms = 0, requests } = live.look(1).latency ?? {};
  expect(requests).toBe(50);
  // Between the bounds of their buckets.
  expect([p50Ms > 0.2, p50Ms < 0.5, p99Ms > 20, p99Ms <= 50]).toEqual([true, true, true, true]);
  seconds(5);
  expect(live.look(1).rates.requests).toBe(5);
  seconds(1);
  expect(live.look(1)).toMatchObject({ rates: { requests: 0 }, latency: null });
});

test('what took longer than the last bound counts as that', async () => {
  const { live, request } = await open();
  request('/cache/posts', 60_000);
  expect(live.look(1).latency?.p99Ms).toBe(1_000 * (durationBuckets.at(-1) ?? 0));
});

test('what the cache did is counted by its kind', async () => {
  const { live, seconds } = await open();
  publish({ type: 'hit', key: 'post:1', tier: 'memory', negative: false, requests: 1 });
  publish({ type: 'hit', key: 'post:1', tier: 'store', negative: true, requests: 2 });
  publish({ type: 'miss', key: 'post:2' });
  publish({ type: 'bypass', key: 'post:2', reason: 'fenced' });
  publish({ type: 'fill', key: 'post:2', bytes: 1, loadMs: 1, negative: false });
  publish({ type: 'release', names: ['post:1', 'posts:all'], reached: true });
  publish({ type: 'invalidate', names: ['post:1'], reached: true, source: 'broadcast' });
  publish({ type: 'refresh', key: 'post:1' });
  seconds(1);
  expect(live.look(1).rates).toEqual({
    requests: 0,
    memoryHits: 1,
    storeHits: 2,
    misses: 1,
    bypasses: 1,
    fills: 1,
    invalidations: 3,
  });
});

test('hot keys are counted while somebody asks, some of the reads', async () => {
  const { live, seconds, slept } = await open(0.999);
  publish({ type: 'miss', key: 'post:9' });
  await live.ask();
  expect(slept()).toBe(1_000);
  publish({ type: 'hit', key: 'post:1', tier: 'memory', negative: false, requests: 31 });
  // The first and then every fifteenth, the longest stride: three of post:1, none of these, one of the last.
  for (const key of ['post:2', 'post:2', 'post:3'] as const) publish({ type: 'miss', key });
  for (let more = 0; more < 12; more += 1) publish({ type: 'miss', key: 'post:4' });
  expect(live.look(5).hottest).toEqual([
    { key: 'post:1', share: 3 / 4 },
    { key: 'post:4', share: 1 / 4 },
  ]);
  expect(live.look(1).hottest).toHaveLength(1);
  seconds(20);
  await live.ask();
  expect(slept()).toBe(1_000);
  seconds(30);
  expect(live.look(5).hottest.map(({ key }) => key)).toEqual([]);
});

test('nobody listens to each read once nobody asks any more, or after the stop', async () => {
  const { live, seconds } = await open();
  const listens = (): boolean => {
    publish({ type: 'miss', key: 'post:1' });
    return live.look(1).hottest.length === 1;
  };
  expect(listens()).toBe(false);
  await live.ask();
  expect(listens()).toBe(true);
  seconds(30);
  expect(listens()).toBe(true);
  seconds(1);
  expect(listens()).toBe(false);
  await live.ask();
  expect(listens()).toBe(true);
  stop();
  expect(listens()).toBe(false);
  expect(cacheChannel.hasSubscribers).toBe(false);
});
