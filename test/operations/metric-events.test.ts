import { afterEach, expect, test } from '@jest/globals';
import { type CacheEvent, publish as tellOfCache } from '../../src/cache/channels.ts';
import { type FeedEvent, publish as tellOfFeed } from '../../src/change-feed/channels.ts';
import { countCache } from '../../src/operations/metrics/cache.ts';
import { countFeed } from '../../src/operations/metrics/feed.ts';
import { countRealtime } from '../../src/operations/metrics/realtime.ts';
import { Tallies } from '../../src/operations/metrics/tallies.ts';
import { publish as tellOfRealtime } from '../../src/realtime/channels.ts';
import { posts } from '../../src/resources/posts/posts.ts';

/** What is told of on the channels, as numbers. */

let tallies = new Tallies();
let stop: () => void = () => undefined;

afterEach(() => {
  stop();
  tallies = new Tallies();
});

/** What is not 0, as `name{values of the labels}`. */
function told(): Record<string, number> {
  const values = tallies
    .read({})
    .flatMap(({ name, values: all }) =>
      all
        .filter(({ value, labels }) => value !== 0 && labels['le'] === undefined)
        .map(({ value, labels, metricName = name }): [string, number] => [
          `${metricName.replace('energex_', '')}{${Object.values(labels).join()}}`,
          value,
        ]),
    );
  return Object.fromEntries(values);
}

function count(...events: readonly CacheEvent[]): Record<string, number> {
  stop = countCache(tallies, [posts]);
  for (const event of events) tellOfCache(event);
  return told();
}

test('reads count by the resource of their key, once for each request', () => {
  const hit = (key: string, requests: number, negative = false, tier: 'memory' | 'store' = 'memory'): CacheEvent => {
    return { type: 'hit', key, tier, negative, requests };
  };
  const read = count(
    hit('post:1', 3),
    hit('post:2', 1, true),
    hit('posts:all', 2, false, 'store'),
    hit('post:3', 1, true, 'store'),
    hit('posts:all#limit=3', 1),
    hit('posts:rows:7', 1),
    hit('strangers:1', 1),
    { type: 'miss', key: 'post:4' },
    { type: 'collapsed', key: 'post:4' },
    { type: 'bypass', key: 'post:5', reason: 'fenced' },
  );
  expect(read).toEqual({
    'cache_requests_total{posts,memory,hit}': 4,
    'cache_requests_total{posts,memory,negative_hit}': 1,
    'cache_requests_total{posts,store,hit}': 2,
    'cache_requests_total{posts,store,negative_hit}': 1,
    'cache_requests_total{posts_segments,memory,hit}': 1,
    'cache_requests_total{other,memory,hit}': 1,
    'cache_requests_total{posts,database,miss}': 1,
    'cache_requests_total{posts,neighbour,collapsed}': 1,
    'cache_requests_total{posts,database,bypass}': 1,
    'cache_bypasses_total{fenced}': 1,
    'cache_collapsed_requests_total{}': 1,
  });
});

test('loads, invalidations and audits', () => {
  const names = ['a', 'b'];
  const done = count(
    { type: 'wait', key: 'k', waitedMs: 500 },
    { type: 'fill', key: 'k', bytes: 1, loadMs: 250, negative: false },
    { type: 'fill-rejected', key: 'k', reason: 'lease-lost' },
    { type: 'refresh', key: 'k' },
    { type: 'audit', key: 'k', differs: false },
    { type: 'audit', key: 'k', differs: true },
    { type: 'fence', names, reached: true },
    { type: 'fence', names, reached: false },
    { type: 'release', names, reached: true },
    { type: 'release', names, reached: false },
    { type: 'invalidate', names, reached: true, source: 'feed' },
    { type: 'invalidate', names, reached: true, source: 'broadcast' },
    { type: 'invalidate', names, reached: false, source: 'broadcast' },
    { type: 'invalidate-all', prefix: 'posts:' },
    { type: 'outbox', swept: 5 },
    { type: 'damage', key: 'post:1' },
    { type: 'store', up: true, reason: 'run' },
  );
  expect(done).toEqual({
    'cache_lease_wait_duration_seconds_count{}': 1,
    'cache_lease_wait_duration_seconds_sum{}': 0.5,
    'cache_fill_duration_seconds_count{}': 1,
    'cache_fill_duration_seconds_sum{}': 0.25,
    'cache_fills_rejected_total{lease-lost}': 1,
    'cache_refreshes_total{}': 1,
    'cache_audits_total{}': 2,
    'cache_audit_differences_total{}': 1,
    'cache_damaged_values_total{}': 1,
    'cache_unreached_steps_total{fence}': 1,
    'cache_unreached_steps_total{release}': 1,
    'cache_unreached_steps_total{invalidate}': 1,
    'cache_invalidations_total{write}': 2,
    'cache_invalidations_total{feed}': 3,
    'cache_invalidations_total{broadcast}': 2,
    'cache_invalidations_total{outbox}': 5,
  });
});

test('once stopped nothing counts any more', () => {
  stop = countCache(tallies, [posts]);
  stop();
  tellOfCache({ type: 'miss', key: 'post:1' });
  expect(told()).toEqual({});
});

test('live events', () => {
  stop = countRealtime(tallies, () => 7);
  tellOfRealtime({ type: 'deliver', events: 3 });
  for (const recovered of [true, true, false, undefined]) tellOfRealtime({ type: 'join', recovered });
  tellOfRealtime({ type: 'cut', reason: 'slow' });
  tellOfRealtime({ type: 'event-log', up: false, reason: 'away' });
  expect(told()).toEqual({
    'ws_connections{}': 7,
    'ws_events_total{}': 3,
    'ws_recoveries_total{recovered}': 2,
    'ws_recoveries_total{lost}': 1,
    'ws_cuts_total{slow}': 1,
  });
});

test('the lag of the feed: that of the reader, growing while it reads nothing, and none while another instance follows', () => {
  stop = countFeed(tallies);
  const lag = (...events: readonly FeedEvent[]): number | undefined => {
    for (const event of events) tellOfFeed(event);
    const { values = [] } = tallies.read({}).find(({ name }) => name === 'energex_change_feed_lag_seconds') ?? {};
    return values[0]?.value;
  };
  const enter = (name: 'electing' | 'following'): FeedEvent => ({ type: 'state', state: { name } });
  expect(lag(enter('electing'))).toBeUndefined();
  expect(lag(enter('following'))).toBe(0);
  expect(lag({ type: 'lag', ms: 2_000 })).toBe(2);
  expect(lag({ type: 'state', state: { name: 'stalled', reason: 'silent' } })).toBeGreaterThan(2);
  expect(lag({ type: 'applied', rows: 3, names: 4, events: 2 })).toBeGreaterThan(2);
  expect(told()).toMatchObject({ 'change_feed_state{stalled}': 1, 'change_feed_rows_total{}': 3 });
  expect(lag({ type: 'cleared', resource: 'posts', reason: 'truncated' }, enter('electing'))).toBeUndefined();
  expect(told()).toEqual({
    'change_feed_state{electing}': 1,
    'change_feed_rows_total{}': 3,
    'change_feed_clearings_total{}': 1,
  });
});
