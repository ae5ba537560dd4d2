import type { Logger } from 'pino';
import { systemClock } from '../cache/clock.ts';
import type { Config } from '../config.ts';
import { Metrics } from './metrics/metrics.ts';
import { reportCache, reportWrites } from './report.ts';
import { reportFeed } from './report-feed.ts';
import { reportOverload } from './report-overload.ts';
import { startTracing, type Tracing } from './tracing/tracing.ts';
import type { Part } from './workers.ts';

/** Logs, metrics and traces: they hear what the others tell of, and nobody waits for them. */
export async function openObservers(config: Config, log: Logger, worker: Part | undefined): Promise<Observers> {
  reportWrites(config.settings, log);
  const stopReports = [reportCache(config, log), reportFeed(log), reportOverload(log, systemClock)];
  const metrics = new Metrics(worker);
  const tracing = await startTracing(config.settings, log);
  const stop = async (): Promise<void> => {
    metrics.stop();
    await tracing?.stop();
    for (const stopReport of stopReports) stopReport();
  };
  return { metrics, tracing, stop };
}

export interface Observers {
  readonly metrics: Metrics;
  readonly tracing: Tracing | undefined;
  readonly stop: () => Promise<void>;
}
