import { METHODS } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify';
import { CatalogueError } from '../errors.ts';

/** All that Node can parse. A `CONNECT` never becomes a request: Node closes its connection. */
const all: readonly HTTPMethods[] = METHODS.filter((method) => method !== 'CONNECT');

/** Lets routes be made for every method, so that a wrong one on a known path is told from an unknown path. */
export function acceptAllMethods(app: FastifyInstance): void {
  const known = new Set(app.supportedMethods);
  for (const method of all) {
    if (!known.has(method)) app.addHttpMethod(method);
  }
}

/** Answers 405 with `Allow` to the other methods of a path, before their bodies are looked at, and `OPTIONS` with 204. */
export function refuseOtherMethods(app: FastifyInstance, url: string, allowed: readonly HTTPMethods[]): void {
  const allow = allowed.join(', ');
  const refuse = async (_request: FastifyRequest, reply: FastifyReply): Promise<never> => {
    reply.header('allow', allow);
    throw new CatalogueError('METHOD_NOT_ALLOWED');
  };
  app.route({ method: all.filter((method) => !allowed.includes(method)), url, onRequest: refuse, handler: refuse });
  app.options(url, withCors, async (_request, reply) => reply.code(204).header('allow', allow).send());
}

/**
 * The CORS plugin adds the headers of a preflight and leaves the answer to the route. By itself it would answer every
 * `OPTIONS`, without `Allow` and on unknown paths too: `app.ts` turns that off.
 */
const withCors = { config: { cors: { preflight: true, preflightContinue: true, strictPreflight: false } } };
