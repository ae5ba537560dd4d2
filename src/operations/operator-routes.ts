import type { FastifyInstance } from 'fastify';
import type { Cache } from '../cache/cache.ts';
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
import type { Resource } from '../resources/resource.ts';
import { openOperations } from './dashboard.ts';
import type { Metrics } from './metrics/metrics.ts';

/** What tells of the service itself: to load balancers, to programs, to Prometheus, to people. */
export async function addOperatorRoutes(
  app: FastifyInstance,
  parts: OperatorParts,
  metricsToken: string | undefined,
): Promise<void> {
  const { cache, store, isUp, database, resources, metrics, operators, state } = parts;
  const checks: ReadinessChecks = { database: () => database.ping(), isStoreUp: isUp, ...state };
  addHealthRoute(app, { redis: () => cache.ping(), mysql: checks.database, draining: checks.isDraining });
  addProbes(app, checks);
  addAsyncapiRoute(app, resources);
  await addOpenapiRoutes(app, resources);
  addMetricsRoute(app, metrics, metricsToken);
  const { inspection } = store;
  const operations = openOperations({ cache, inspection, resources, metrics: () => metrics.text(), checks });
  await addDashboard(app, { ...operators, resources, operations });
}

export interface OperatorParts {
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
