/**
 * The metrics of the service in Prometheus' text format, as the page reads them. A scrape is compared with the one before, as
 * Prometheus does it: counters become rates, histograms become quantiles.
 */
import { quantileOf } from '../../src/operations/metrics/quantile.ts';

export type Labels = Readonly<Record<string, string>>;

export type Scrape = {
  /** Milliseconds of the page's clock. */
  readonly at: number;
  /** By the full name of the series: `…_bucket`, `…_count`. */
  readonly series: ReadonlyMap<string, readonly { readonly labels: Labels; readonly value: number }[]>;
};

/** https://prometheus.io/docs/instrumenting/exposition_formats/. Lines that are no samples are passed over. */
export function parseScrape(text: string, at: number): Scrape {
  const series = new Map<string, { labels: Labels; value: number }[]>();
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', value = ''] = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (name === '') continue;
    const list = series.get(name) ?? [];
    series.set(name, list);
    list.push({ labels: parseLabels(labels), value: toNumber(value) });
  }
  return { at, series };
}

function parseLabels(text: string): Labels {
  const pairs = text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g);
  return Object.fromEntries([...pairs].map(([, name = '', value = '']) => [name, unescape(value)]));
}

const escaped: Readonly<Record<string, string>> = { n: '\n' };

function unescape(value: string): string {
  return value.replaceAll(/\\(.)/g, (_, character: string) => escaped[character] ?? character);
}

function toNumber(value: string): number {
  return value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
}

type Wanted = (labels: Labels) => boolean;
const all: Wanted = () => true;

/** The sum of a gauge or a counter; `undefined` where there is no such series. */
export function sum({ series }: Scrape, name: string, wanted: Wanted = all): number | undefined {
  const found = series.get(name)?.filter(({ labels }) => wanted(labels));
  return found === undefined || found.length === 0 ? undefined : found.reduce((total, { value }) => total + value, 0);
}

/** Per second. A counter that went back began anew with its process: what it counts since then is all there is. */
export function rate(before: Scrape, now: Scrape, name: string, wanted: Wanted = all): number {
  return increase(before, now, name, wanted) / Math.max(0.001, (now.at - before.at) / 1000);
}

export function increase(before: Scrape, now: Scrape, name: string, wanted: Wanted = all): number {
  const earlier = new Map(before.series.get(name)?.map(({ labels, value }) => [keyOf(labels), value]));
  let total = 0;
  for (const { labels, value } of now.series.get(name) ?? []) {
    if (!wanted(labels)) continue;
    const from = earlier.get(keyOf(labels)) ?? 0;
    total += value < from ? value : value - from;
  }
  return total;
}

/** The increase by the values of some labels, the greatest first. */
export function increaseBy(before: Scrape, now: Scrape, name: string, by: readonly string[]): [string, number][] {
  const groups = new Set((now.series.get(name) ?? []).map(({ labels }) => groupOf(labels, by)));
  return [...groups]
    .map((group): [string, number] => [group, increase(before, now, name, (labels) => groupOf(labels, by) === group)])
    .toSorted(([, one], [, other]) => other - one);
}

export function groupOf(labels: Labels, by: readonly string[]): string {
  return by.map((label) => labels[label] ?? '').join(' ');
}

/** A quantile of what a histogram has counted in between, in its unit; `undefined` when nothing was counted. */
export function quantile(before: Scrape, now: Scrape, name: string, q: number): number | undefined {
  const bounds = new Set((now.series.get(`${name}_bucket`) ?? []).map(({ labels }) => labels['le'] ?? ''));
  const buckets = [...bounds]
    .map((le) => ({
      le: le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le),
      count: increase(before, now, `${name}_bucket`, (labels) => labels['le'] === le),
    }))
    .toSorted((one, other) => one.le - other.le);
  return quantileOf(buckets, q);
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
