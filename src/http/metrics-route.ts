import { hash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CatalogueError } from '../errors.ts';
import { refuseOtherMethods } from './methods.ts';

const path = '/metrics';

/** What a scrape is answered with. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** `GET /metrics`, for Prometheus. With a token, only for those who send it as `Authorization: Bearer <token>`. */
export function addMetricsRoute(app: FastifyInstance, exposition: Exposition, token: string | undefined): void {
  app.get(path, { onRequest: async (request) => requireToken(request, token) }, async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('content-type', exposition.contentType);
    return await exposition.text();
  });
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

/** Digests have one length whatever was sent, so the time of the comparison tells nothing of the token. */
function requireToken(request: FastifyRequest, token: string | undefined): void {
  if (token === undefined) return;
  const given = /^bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  if (!timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', token, 'buffer'))) {
    throw new CatalogueError('METRICS_FORBIDDEN');
  }
}
