import type { FastifyInstance } from 'fastify';
import type { Cache } from '../cache/cache.ts';
import { systemClock } from '../cache/clock.ts';
import type { Inspection } from '../cache/inspection.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { addAsyncapiRoute } from '../http/asyncapi.ts';
import { addDashboard, type DashboardParts } from '../http/dashboard/routes.ts';
import { Sessions } from '../http/dashboard/sessions.ts';
import { addHealthRoute } from '../http/health.ts';
import { addMetricsRoute } from '../http/metrics-route.ts';
import { addOpenapiRoutes } from '../http/openapi/routes.ts';
import { addProbes, type ReadinessChecks } from '../http/probes.ts';
import { addStatsRoute, type Services } from '../http/stats-route.ts';
import type { Resource } from '../resources/resource.ts';
import { openOperations } from './dashboard.ts';
import { LiveFigures } from './live-figures.ts';
import type { Metrics } from './metrics/metrics.ts';
import { describeProcess, type ProcessParts } from './process-figures.ts';

/** What tells of the service itself: to load balancers, to programs, to Prometheus, to people. */
export async function addOperatorRoutes(
  app: FastifyInstance,
  settings: Config['settings'],
  parts: OperatorParts,
): Promise<void> {
  const { cache, store, isUp, database, resources, metrics, operators, state } = parts;
  const checks: ReadinessChecks = { database: () => database.ping(), isStoreUp: isUp, ...state };
  const services = { redis: () => cache.ping(), mysql: checks.database };
  addHealthRoute(app, { ...services, draining: checks.isDraining });
  addProbes(app, checks);
  addAsyncapiRoute(app, resources);
  await addOpenapiRoutes(app, resources);
  addMetricsRoute(app, metrics, settings.METRICS_TOKEN);
  addStats(app, settings, parts, services);
  const { inspection } = store;
  const operations = openOperations({ cache, inspection, resources, metrics: () => metrics.text(), checks });
  await addDashboard(app, { ...operators, resources, operations });
}

function addStats(
  app: FastifyInstance,
  { REALTIME_API_SECRET: secret }: Config['settings'],
  { cache, resources, sockets, worker }: OperatorParts,
  services: Services,
): void {
  const live = new LiveFigures(systemClock);
  const start = (): (() => void) => live.start(app.server, (url) => resources.some(({ path }) => url.startsWith(path)));
  const figures = (): ReturnType<typeof describeProcess> =>
    describeProcess(live, { memory: cache.memory, sockets, worker });
  addStatsRoute(app, { figures, start, ...services }, secret);
}

export interface OperatorParts extends Pick<ProcessParts, 'sockets' | 'worker'> {
  readonly cache: Cache;
  readonly store: { readonly inspection: Inspection };
  /** Whether the store is in use. */
  readonly isUp: () => boolean;
  readonly database: Database;
  readonly resources: readonly Resource[];
  readonly metrics: Metrics;
  readonly operators: Operators;
  readonly state: Pick<ReadinessChecks, 'isPrepared' | 'isDraining'>;
}

export type Operators = Pick<DashboardParts, 'sessions' | 'closedBecause'>;

/** Who may use the dashboard. In production nobody who cannot say that they may. */
export function operatorsOf({ OPERATOR_SECRET: secret, NODE_ENV: mode }: Config['settings']): Operators {
  const isClosed = mode === 'production' && secret === undefined;
  return {
    sessions: new Sessions(secret, Date.now),
    closedBecause: isClosed ? 'in production it needs OPERATOR_SECRET' : undefined,
  };
}
