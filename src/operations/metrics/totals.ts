import { durationBuckets } from './definitions.ts';
import { Distribution, type Tallies, Tally } from './tallies.ts';

/** What happened to the reads of resources since the start, out of the numbers of `/metrics`. */
export interface Totals {
  readonly requests: number;
  readonly memoryHits: number;
  readonly storeHits: number;
  readonly misses: number;
  readonly bypasses: number;
  readonly fills: number;
  readonly invalidations: number;
  /** Requests by the first of `durationBuckets` that is not smaller; the last is for all above. */
  readonly durations: readonly number[];
}

/** `paths`: of the resources. */
export function totalsOf(tallies: Tallies, paths: readonly string[]): Totals {
  const durations: number[] = Array.from({ length: durationBuckets.length + 1 }, () => 0);
  for (const { labels, member } of tallies.entries('energex_http_request_duration_seconds')) {
    const { route = '' } = labels;
    if (!(member instanceof Distribution) || !paths.some((path) => route.startsWith(path))) continue;
    for (const [at, count] of member.counts.entries()) durations[at] = (durations[at] ?? 0) + count;
  }
  const reads = (label: 'tier' | 'result', value: string): number =>
    sumOf(tallies, 'energex_cache_requests_total', (labels) => labels[label] === value);
  return {
    requests: durations.reduce((sum, count) => sum + count, 0),
    memoryHits: reads('tier', 'memory'),
    storeHits: reads('tier', 'store'),
    misses: reads('result', 'miss'),
    bypasses: reads('result', 'bypass'),
    fills: sumOf(tallies, 'energex_cache_fill_duration_seconds', () => true),
    invalidations: sumOf(tallies, 'energex_cache_invalidations_total', () => true),
    durations,
  };
}

function sumOf(
  tallies: Tallies,
  name: Parameters<Tallies['entries']>[0],
  isWanted: (labels: Readonly<Record<string, string>>) => boolean,
): number {
  let sum = 0;
  for (const { labels, member } of tallies.entries(name)) {
    if (!isWanted(labels)) continue;
    sum += member instanceof Tally ? member.value : member.counts.reduce((all, count) => all + count, 0);
  }
  return sum;
}
