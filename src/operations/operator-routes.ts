import type { FastifyInstance } from 'fastify';
import type { Cache } from '../cache/cache.ts';
import { systemClock } from '../cache/clock.ts';
import type { Inspection } from '../cache/inspection.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Writes } from '../http/body-schemas.ts';
import { addAsyncapiRoute } from '../http/asyncapi.ts';
import { addDashboard, type DashboardParts } from '../http/dashboard/routes.ts';
import { Sessions } from '../http/dashboard/sessions.ts';
import { addHealthRoute } from '../http/health.ts';
import { addMetricsRoute } from '../http/metrics-route.ts';
import { addOpenapiRoutes } from '../http/openapi/routes.ts';
import { addProbes, type ReadinessChecks } from '../http/probes.ts';
import { type Secrets, secretsOf } from '../http/secrets.ts';
import { addStatsRoute, type Services, tellStats } from '../http/stats-route.ts';
import type { EventLog } from '../realtime/event-log.ts';
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
  const { cache, store, isUp, database, resources, metrics, events, operators, state } = parts;
  const checks: ReadinessChecks = { database: () => database.ping(), isStoreUp: isUp, ...state };
  const services = { redis: () => cache.ping(), mysql: checks.database };
  addHealthRoute(app, { ...services, draining: checks.isDraining });
  addProbes(app, checks);
  addAsyncapiRoute(app, resources);
  await addOpenapiRoutes(app, resources, parts.writes);
  addMetricsRoute(app, metrics, secretsOf(settings.METRICS_TOKEN, settings.METRICS_TOKEN_PREVIOUS));
  const stats = openStats(app, parts, services);
  addStatsRoute(app, stats, callersOf(settings));
  const { inspection } = store;
  const shown = { metrics: () => metrics.text(), stats };
  const operations = openOperations({ cache, inspection, resources, checks, events, ...shown });
  await addDashboard(app, { ...operators, resources, operations });
}

/** They are counted until `app` is closed. */
function openStats(
  app: FastifyInstance,
  { cache, resources, metrics, sockets, worker }: OperatorParts,
  services: Services,
): () => Promise<object> {
  const paths = resources.map(({ path }) => path);
  const live = new LiveFigures(systemClock, () => metrics.totals(paths));
  const stop = live.start();
  app.addHook('onClose', async () => stop());
  const figures = (): Promise<object> => describeProcess(live, { memory: cache.memory, sockets, worker });
  return () => tellStats({ figures, ...services });
}

export interface OperatorParts extends Pick<ProcessParts, 'sockets' | 'worker'> {
  readonly cache: Cache;
  readonly store: { readonly inspection: Inspection };
  /** Whether the store is in use. */
  readonly isUp: () => boolean;
  readonly database: Database;
  readonly resources: readonly Resource[];
  readonly metrics: Metrics;
  readonly events: EventLog;
  readonly writes: Writes;
  readonly operators: Operators;
  readonly state: Pick<ReadinessChecks, 'isPrepared' | 'isDraining'>;
}

export type Operators = Pick<DashboardParts, 'sessions' | 'closedBecause'>;

/** Who may ask for `/internal`. */
export function callersOf(settings: Config['settings']): Secrets {
  return secretsOf(settings.REALTIME_API_SECRET, settings.REALTIME_API_SECRET_PREVIOUS);
}

/** Who may use the dashboard. In production nobody who cannot say that they may. */
export function operatorsOf(settings: Config['settings']): Operators {
  const secrets = secretsOf(settings.OPERATOR_SECRET, settings.OPERATOR_SECRET_PREVIOUS);
  const isClosed = settings.NODE_ENV === 'production' && secrets.length === 0;
  return {
    sessions: new Sessions(secrets, Date.now),
    closedBecause: isClosed ? 'in production it needs OPERATOR_SECRET' : undefined,
  };
}
