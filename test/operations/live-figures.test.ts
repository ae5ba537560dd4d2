import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { publish } from '../../src/cache/channels.ts';
import { LiveFigures } from '../../src/operations/live-figures.ts';

/** Rates, latencies and hot keys of a process, with a clock of the test's own. */

let stop = (): void => undefined;
afterEach(() => stop());

function open(random = 0) {
  let now = 0;
  let tick = (): void => undefined;
  const clock = {
    now: () => now,
    random: () => random,
    every: (_ms: number, task: () => void) => {
      tick = task;
      return () => undefined;
    },
  };
  const server = new EventEmitter();
  const live = new LiveFigures(clock);
  stop = live.start(server as unknown as Server, (url) => url.startsWith('/cache/posts'));
  const request = (url: string): void => {
    const response = new EventEmitter();
    server.emit('request', { url }, response);
    response.emit('finish');
  };
  const seconds = (count: number): void => {
    for (let second = 0; second < count; second += 1) {
      now += 1_000;
      tick();
    }
  };
  return { live, request, seconds };
}

test('rates are those of the last ten seconds', () => {
  const { live, request, seconds } = open();
  for (let round = 0; round < 50; round += 1) request('/cache/posts/1');
  request('/cache/health');
  seconds(5);
  expect(live.rates().requests).toBe(10);
  seconds(5);
  expect(live.rates().requests).toBe(5);
  seconds(1);
  expect(live.rates().requests).toBe(0);
});

test('what the cache did is counted by its kind', () => {
  const { live, seconds } = open();
  publish({ type: 'hit', key: 'post:1', tier: 'memory', negative: false, requests: 1 });
  publish({ type: 'hit', key: 'post:1', tier: 'store', negative: false, requests: 1 });
  publish({ type: 'miss', key: 'post:2' });
  publish({ type: 'bypass', key: 'post:2', reason: 'fenced' });
  publish({ type: 'fill', key: 'post:2', bytes: 1, loadMs: 1, negative: false });
  publish({ type: 'fence', names: ['post:1'], reached: true });
  publish({ type: 'invalidate', names: ['post:1'], reached: true, source: 'broadcast' });
  publish({ type: 'invalidate-all', prefix: 'post:' });
  publish({ type: 'refresh', key: 'post:1' });
  seconds(1);
  expect(live.rates()).toEqual({
    requests: 0,
    memoryHits: 1,
    storeHits: 1,
    misses: 1,
    bypasses: 1,
    fills: 1,
    invalidations: 3,
  });
  expect(live.hottest(1)).toEqual([{ key: 'post:1', share: 2 / 3 }]);
});

test('of latencies and keys some are looked at, and latencies are forgotten in twenty seconds', () => {
  const { live, request, seconds } = open(0.999);
  expect(live.latency()).toBeNull();
  for (let round = 0; round < 150; round += 1) {
    request('/cache/posts/1');
    publish({ type: 'miss', key: 'post:1' });
  }
  // The first, and then every fifteenth: the longest stride.
  expect(live.latency()?.sampled).toBe(10);
  expect(live.latency()?.p99Ms).toBeGreaterThan(0);
  expect(live.hottest(5)).toEqual([{ key: 'post:1', share: 1 }]);
  seconds(10);
  expect(live.latency()?.sampled).toBe(10);
  seconds(10);
  expect(live.latency()).toBeNull();
});

test('nothing is counted once it is stopped', () => {
  const { live, seconds } = open();
  stop();
  publish({ type: 'miss', key: 'post:1' });
  seconds(1);
  expect(live.rates().misses).toBe(0);
});
