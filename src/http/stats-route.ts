import type { FastifyInstance } from 'fastify';
import { withDeadline } from '../deadline.ts';
import { requireSecret } from './internal.ts';
import { refuseOtherMethods } from './methods.ts';
import type { Secrets } from './secrets.ts';

/** Each resolves when its part answers. */
export interface Services {
  readonly redis: () => Promise<void>;
  readonly mysql: () => Promise<void>;
}

interface StatsSources extends Services {
  /** Figures of this process, as they are sent. */
  readonly figures: () => Promise<object>;
}

const path = '/internal/stats';
const deadlineMs = 1_500;

/** Live figures of the process that answers. */
export async function tellStats(sources: StatsSources): Promise<object> {
  const [figures, redis, mysql] = await Promise.all([
    sources.figures(),
    roundTrip(sources.redis),
    roundTrip(sources.mysql),
  ]);
  return { ...figures, services: { redis, mysql } };
}

/** Those figures, for `energex-cache stats` and `top`; with the secret of `/internal/broadcast`. */
export function addStatsRoute(app: FastifyInstance, stats: () => Promise<object>, secrets: Secrets): void {
  app.get(path, { onRequest: async (request) => requireSecret(request, secrets) }, async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    return await stats();
  });
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

/** Milliseconds until it answered; `null` when it did not. */
function roundTrip(ask: () => Promise<void>): Promise<number | null> {
  const began = performance.now();
  const answered = ask().then(
    () => performance.now() - began,
    () => null,
  );
  return withDeadline(deadlineMs, answered, () => null);
}
