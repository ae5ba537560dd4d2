import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CatalogueError } from '../errors.ts';
import { refuseOtherMethods } from './methods.ts';
import { isOneOf, type Secrets } from './secrets.ts';

const path = '/metrics';

/** What a scrape is answered with. */
export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** `GET /metrics`, for Prometheus. With a token, only for those who send it as `Authorization: Bearer <token>`. */
export function addMetricsRoute(app: FastifyInstance, exposition: Exposition, tokens: Secrets): void {
  app.get(path, { onRequest: async (request) => requireToken(request, tokens) }, async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('content-type', exposition.contentType);
    return await exposition.text();
  });
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

function requireToken(request: FastifyRequest, tokens: Secrets): void {
  if (tokens.length === 0) return;
  const given = /^bearer +(.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
  if (!isOneOf(given, tokens)) throw new CatalogueError('METRICS_FORBIDDEN');
}
