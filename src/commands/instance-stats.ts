import { loadConfig, readEnvironment } from '../config.ts';
import { askInstance, OperatorApi } from './running-instance.ts';
import { failure } from './verb.ts';

/** Live figures of an instance, as `GET /internal/stats` has them. */
export interface InstanceStats {
  readonly process: {
    readonly pid: number;
    readonly worker: number | null;
    readonly upSeconds: number;
    readonly memoryMb: number;
  };
  /** Per second. */
  readonly rates: Readonly<Record<RateName, number>>;
  readonly hitRatio: number | null;
  readonly latency: { readonly p50Ms: number; readonly p99Ms: number; readonly requests: number } | null;
  readonly hottest: readonly { readonly key: string; readonly share: number }[];
  readonly memoryTier: { readonly entries: number; readonly mb: number };
  readonly sockets: number;
  /** Milliseconds of a round trip; `null` for what does not answer. */
  readonly services: { readonly redis: number | null; readonly mysql: number | null };
}

const rateNames = ['requests', 'memoryHits', 'storeHits', 'misses', 'bypasses', 'fills', 'invalidations'] as const;
type RateName = (typeof rateNames)[number];

/** Asks an instance for its figures; rejects with `COMMAND_FAILED`. */
export type StatsSource = () => Promise<InstanceStats>;

/**
 * With the `REALTIME_API_SECRET` of the settings it asks `GET /internal/stats`; without one what the dashboard asks, which is open
 * in development and else needs `OPERATOR_SECRET`.
 */
export function statsSource(url: string): StatsSource {
  const { REALTIME_API_SECRET: secret } = loadConfig(readEnvironment()).settings;
  const operators = OperatorApi.ofSettings(url);
  return async () => {
    const body = secret === undefined ? await operators.ask('/stats') : await fetchStats(url, secret);
    if (!isStats(body)) throw failure(`the instance at ${url} is of another version, or it is no instance`);
    return body;
  };
}

async function fetchStats(url: string, secret: string): Promise<unknown> {
  const { status, body } = await askInstance(url, '/internal/stats', { headers: { 'x-internal-secret': secret } });
  if (status === 403) {
    throw failure(`the instance at ${url} has another REALTIME_API_SECRET than the settings, or none`);
  }
  if (status !== 200)
    throw failure(`the instance at ${url} answers ${status}: it is of another version, or no instance`);
  return body;
}

function isStats(body: unknown): body is InstanceStats {
  const { process, rates, hottest, memoryTier, sockets, services } = Object(body);
  return (
    typeof Object(process).pid === 'number' &&
    rateNames.every((name) => typeof Object(rates)[name] === 'number') &&
    Array.isArray(hottest) &&
    typeof Object(memoryTier).mb === 'number' &&
    typeof sockets === 'number' &&
    typeof services === 'object'
  );
}

/** For people; `most` is how many hot keys. */
export function linesOf(stats: InstanceStats, url: string, most: number): string[] {
  const { process, rates, hitRatio, latency, hottest, memoryTier, sockets, services } = stats;
  const worker = process.worker === null ? '' : `, worker ${process.worker}`;
  const ratio = hitRatio === null ? 'none read' : `${(hitRatio * 100).toFixed(1)} % hits`;
  const times = latency === null ? 'no requests' : `p50 ${toMs(latency.p50Ms)}  p99 ${toMs(latency.p99Ms)}`;
  return [
    `${url}  process ${process.pid}${worker}, up ${toTime(process.upSeconds)}, ${process.memoryMb} MiB`,
    `requests  ${toRate(rates.requests)}  ${times}`,
    `cache     ${ratio}  memory ${toRate(rates.memoryHits)}  Redis ${toRate(rates.storeHits)}  misses ${toRate(rates.misses)}  bypasses ${toRate(rates.bypasses)}`,
    `          fills ${toRate(rates.fills)}  invalidations ${toRate(rates.invalidations)}  in memory ${memoryTier.entries} entries, ${memoryTier.mb.toFixed(1)} MiB`,
    `services  Redis ${toState(services.redis)}  database ${toState(services.mysql)}  ${sockets} live connections`,
    ...(hottest.length === 0 ? [] : ['hottest keys, of the reads of the last moments']),
    ...hottest.slice(0, most).map(({ key, share }) => `  ${`${(share * 100).toFixed(1)} %`.padStart(7)}  ${key}`),
  ];
}

function toRate(perSecond: number): string {
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)}/s`;
}

function toMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : Math.round(ms)} ms`;
}

function toState(ms: number | null): string {
  return ms === null ? 'AWAY' : `answers in ${toMs(ms)}`;
}

function toTime(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
