import type { FastifyInstance } from 'fastify';
import { withDeadline } from '../deadline.ts';
import { refuseOtherMethods } from './methods.ts';

/** What `GET /cache/health` asks: each resolves when its part answers. */
export interface HealthChecks {
  readonly redis: () => Promise<void>;
  readonly mysql: () => Promise<void>;
  /** The service is going down: it is healthy no more, so that no one sends it new work. */
  readonly draining: () => boolean;
}

const path = '/cache/health';

/** The state of the service: 200 or 503, at the latest when both deadlines have passed, whatever hangs. */
export function addHealthRoute(app: FastifyInstance, checks: HealthChecks): void {
  app.get(path, async (_request, reply) => {
    const [redis, mysql] = await Promise.all([probe(checks.redis), probe(checks.mysql)]);
    const isHealthy = redis === 'healthy' && mysql === 'healthy' && !checks.draining();
    reply.code(isHealthy ? 200 : 503).header('cache-control', 'no-store');
    return {
      status: isHealthy ? 'ok' : 'error',
      timestamp: new Date().toISOString(),
      services: { redis, mysql },
      ...(checks.draining() ? { draining: true } : {}),
    };
  });
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

const probeTimeoutMs = 1_500;

function probe(check: () => Promise<void>): Promise<Condition> {
  const answered = check().then(
    (): Condition => 'healthy',
    (): Condition => 'unhealthy',
  );
  return withDeadline(probeTimeoutMs, answered, () => 'unhealthy');
}

type Condition = 'healthy' | 'unhealthy';
