import { collectDefaultMetrics, Registry } from '@prometheus-io/client';
import type { DurationOf } from '../../http/request-durations.ts';
import type { Resource } from '../../resources/resource.ts';
import { ownVersion } from '../../own-version.ts';
import type { Part } from '../workers.ts';
import { countCache } from './cache.ts';
import { countFeed } from './feed.ts';
import { countShed } from './overload.ts';
import { countRealtime } from './realtime.ts';
import { countServers, type ServerStates } from './servers.ts';
import { type Distribution, type Family, Tallies } from './tallies.ts';
import { type Totals, totalsOf } from './totals.ts';
import { WorkerMetrics } from './workers.ts';

/**
 * What `/metrics` tells: the numbers of this process, those of Node.js, and those of the other processes on the same port.
 * Nothing is written or added up until somebody asks.
 */
export class Metrics {
  readonly #tallies = new Tallies();
  readonly #requests: Family<Distribution>;
  readonly #labels: Readonly<Record<string, string>>;
  readonly #workers: WorkerMetrics | undefined;
  readonly #stops: (() => void)[] = [];

  constructor(worker?: Part) {
    processMetrics();
    this.#labels = worker === undefined ? {} : { worker: worker.number };
    this.#workers = worker === undefined ? undefined : new WorkerMetrics(worker, () => this.#readOwn());
    this.#requests = this.#tallies.durations('energex_http_request_duration_seconds');
    this.#tallies.numbers('energex_build_info').at(ownVersion(), process.version).value = 1;
  }

  /** For whoever answers requests. */
  readonly durationOf: DurationOf = (method, route, status) => this.#requests.at(method, route, String(status));

  /** Begins to count what the parts tell of. Those that are not there are not told of either. */
  async start(parts: MetricsParts): Promise<void> {
    const { resources, servers, hasFeed, memory, sockets } = parts;
    this.#stops.push(
      countCache(this.#tallies, resources),
      countRealtime(this.#tallies, () => sockets.connections),
      countShed(this.#tallies),
    );
    if (servers !== undefined) this.#stops.push(countServers(this.#tallies, servers));
    if (hasFeed) this.#stops.push(countFeed(this.#tallies));
    const held = this.#tallies.numbers('energex_cache_memory_bytes').at();
    const evicted = this.#tallies.numbers('energex_cache_memory_evictions_total').at();
    this.#tallies.beforeReading(() => {
      held.value = memory.bytes;
      evicted.value = memory.evictions;
    });
    await this.#workers?.listen();
  }

  /** For live figures; `paths` are those of the resources. */
  totals(paths: readonly string[]): Totals {
    return totalsOf(this.#tallies, paths);
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
    this.#workers?.close();
  }

  /** In Prometheus' text format. */
  async text(): Promise<string> {
    const [own, others] = await Promise.all([this.#readOwn(), this.#workers?.others()]);
    return await Registry.aggregate([own, ...(others ?? [])]).metrics();
  }

  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

  async #readOwn(): Promise<readonly object[]> {
    const ofProcess = await processMetrics().getMetricsAsJSON();
    const labelled = ofProcess.map(({ name, help, type, values }) => ({
      name,
      help,
      type,
      // Values of several processes have different labels, so there is nothing to be put together.
      aggregator: 'first',
      values: values.map((value) => Object.assign(value, { labels: { ...value.labels, ...this.#labels } })),
    }));
    return [...this.#tallies.read(this.#labels), ...labelled];
  }
}

export interface MetricsParts {
  readonly resources: readonly Resource[];
  /** `undefined` with the embedded default. */
  readonly servers: ServerStates | undefined;
  readonly hasFeed: boolean;
  readonly memory: { readonly bytes: number; readonly evictions: number };
  readonly sockets: { readonly connections: number };
}

let ofProcess: Registry | undefined;

/** Processor, memory, garbage collection, delay of the event loop: of the process, so once however many services it has. */
function processMetrics(): Registry {
  if (ofProcess !== undefined) return ofProcess;
  ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess });
  return ofProcess;
}
