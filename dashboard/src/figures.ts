import { useEffect, useState } from 'react';
import { api, ApiError } from './api.ts';
import { groupOf, increase, increaseBy, parseScrape, quantile, rate, type Scrape, sum } from './metrics.ts';

/** What the charts show: one point for each scrape, the oldest first. */
export type Figures = {
  /** Seconds since 1970, as uPlot has it. */
  readonly times: readonly number[];
  readonly requests: readonly number[];
  /** Requests per second by where the answer came from; the names are those of the labels. */
  readonly bySource: ReadonlyMap<string, readonly number[]>;
  readonly hitRatio: readonly (number | null)[];
  /** Milliseconds. */
  readonly p50: readonly (number | null)[];
  readonly p95: readonly (number | null)[];
  readonly p99: readonly (number | null)[];
  readonly latest: Scrape | undefined;
  readonly before: Scrape | undefined;
  /** Why there is no newer one. */
  readonly failure: string | undefined;
};

const nothing: Figures = {
  times: [],
  requests: [],
  bySource: new Map(),
  hitRatio: [],
  p50: [],
  p95: [],
  p99: [],
  latest: undefined,
  before: undefined,
  failure: undefined,
};

const everyMs = 1_000;
const mostPoints = 300;
const duration = 'energex_http_request_duration_seconds';
const cached = 'energex_cache_requests_total';

/** Scrapes once a second while the page is shown. */
export function useFigures(onRefused: () => void): Figures {
  const [figures, setFigures] = useState(nothing);
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout>;
    const scrape = async (): Promise<void> => {
      try {
        if (!document.hidden) {
          const metrics = await api.metrics();
          if (!over) setFigures((before) => withScrape(before, parseScrape(metrics, Date.now())));
        }
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) onRefused();
        if (!over)
          setFigures((before) => ({ ...before, failure: error instanceof Error ? error.message : String(error) }));
      }
      if (!over) timer = setTimeout(() => void scrape(), everyMs);
    };
    void scrape();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [onRefused]);
  return figures;
}

function withScrape(figures: Figures, now: Scrape): Figures {
  const before = figures.latest;
  if (before === undefined) return { ...figures, latest: now, failure: undefined };
  const add = <T>(values: readonly T[], value: T): T[] => [...values, value].slice(-mostPoints);
  // Who was answered by the work of another read is counted there.
  const asked = increase(before, now, cached, ({ result }) => result !== 'collapsed');
  const hits = increase(before, now, cached, ({ result }) => result === 'hit' || result === 'negative_hit');
  const ms = (q: number): number | null => {
    const seconds = quantile(before, now, duration, q);
    return seconds === undefined ? null : seconds * 1000;
  };
  return {
    times: add(figures.times, now.at / 1000),
    requests: add(figures.requests, rate(before, now, `${duration}_count`)),
    bySource: sourcesWith(figures, before, now),
    hitRatio: add(figures.hitRatio, asked === 0 ? null : hits / asked),
    p50: add(figures.p50, ms(0.5)),
    p95: add(figures.p95, ms(0.95)),
    p99: add(figures.p99, ms(0.99)),
    latest: now,
    before,
    failure: undefined,
  };
}

/** A source that was not seen before has had no requests until now. */
function sourcesWith(figures: Figures, before: Scrape, now: Scrape): ReadonlyMap<string, readonly number[]> {
  const by = ['tier', 'result'];
  const seconds = Math.max(0.001, (now.at - before.at) / 1000);
  const increases = new Map(increaseBy(before, now, cached, by));
  const known = new Set([
    ...figures.bySource.keys(),
    ...[...increases].filter(([, count]) => count > 0).map(([name]) => name),
  ]);
  const length = Math.min(figures.times.length, mostPoints - 1);
  return new Map(
    [...known].toSorted().map((name) => {
      const values = figures.bySource.get(name)?.slice(-length) ?? Array.from({ length }, () => 0);
      return [name, [...values, (increases.get(name) ?? 0) / seconds]];
    }),
  );
}

/** The latest value of a gauge or a counter. */
export function valueOf({ latest }: Figures, name: string, label?: string, value?: string): number | undefined {
  if (latest === undefined) return undefined;
  return sum(latest, name, (labels) => label === undefined || labels[label] === value);
}

/** The latest values by one label. */
export function valuesBy({ latest }: Figures, name: string, label: string): [string, number][] {
  const totals = new Map<string, number>();
  for (const { labels, value } of latest?.series.get(name) ?? []) {
    const group = groupOf(labels, [label]);
    totals.set(group, (totals.get(group) ?? 0) + value);
  }
  return [...totals].toSorted(([one], [other]) => (one < other ? -1 : 1));
}

/** Per second, of the last two scrapes. */
export function rateOf({ before, latest }: Figures, name: string): number | undefined {
  if (before === undefined || latest?.series.has(name) !== true) return undefined;
  return rate(before, latest, name);
}
