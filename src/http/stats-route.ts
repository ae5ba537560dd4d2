import type { FastifyInstance } from 'fastify';
import { withDeadline } from '../deadline.ts';
import { requireSecret } from './internal.ts';
import { refuseOtherMethods } from './methods.ts';

/** Each resolves when its part answers. */
export interface Services {
  readonly redis: () => Promise<void>;
  readonly mysql: () => Promise<void>;
}

interface StatsSources extends Services {
  /** Figures of this process, as they are sent. */
  readonly figures: () => object;
  /** Begins to count; returns how to stop. */
  readonly start: () => () => void;
}

const path = '/internal/stats';
const deadlineMs = 1_500;

/** Live figures of the process that answers, for `energex-cache stats` and `top`; with the secret of `/internal/broadcast`. */
export function addStatsRoute(app: FastifyInstance, sources: StatsSources, secret: string | undefined): void {
  // By then the fast lane stands where requests come in; what counts them stands in front of it.
  let stop: (() => void) | undefined;
  app.addHook('onListen', async () => {
    stop = sources.start();
  });
  app.addHook('onClose', async () => stop?.());
  app.get(path, { onRequest: async (request) => requireSecret(request, secret) }, async (_request, reply) => {
    const [redis, mysql] = await Promise.all([roundTrip(sources.redis), roundTrip(sources.mysql)]);
    reply.header('cache-control', 'no-store');
    return { ...sources.figures(), services: { redis, mysql } };
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
