import type { FastifyInstance, HTTPMethods } from 'fastify';
import { CatalogueError } from '../errors.ts';

const all: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'];

/** Answers 405 with `Allow` to the other methods of a path, before their bodies are looked at, and `OPTIONS` with 204. */
export function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly HTTPMethods[]): void {
  const allow = allowed.join(', ');
  app.route({
    method: all.filter((method) => !allowed.includes(method)),
    url,
    onRequest: async (_request, reply) => {
      reply.header('allow', allow);
      throw new CatalogueError('METHOD_NOT_ALLOWED');
    },
    handler: async () => undefined,
  });
  // What reaches this is not a preflight: those are answered by the CORS plugin before.
  app.options(url, async (_request, reply) => reply.code(204).header('allow', allow).send());
}
