import type { FastifyInstance } from 'fastify';
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

async function probe(check: () => Promise<void>): Promise<'healthy' | 'unhealthy'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'unhealthy'>((resolve) => {
    timer = setTimeout(() => resolve('unhealthy'), probeTimeoutMs);
  });
  const answered = check().then(
    () => 'healthy' as const,
    () => 'unhealthy' as const,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}
