import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { describeLiveEvents } from '../realtime/asyncapi.ts';
import type { Resource } from '../resources/resource.ts';
import { refuseOtherMethods } from './methods.ts';

const path = '/asyncapi.json';

/** `GET /asyncapi.json`: what browsers hear, for programs. */
export function addAsyncapiRoute(app: FastifyInstance, resources: readonly Resource[]): void {
  const document = JSON.stringify(describeLiveEvents(resources, ownVersion()));
  app.get(path, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').header('cache-control', 'no-cache').send(document),
  );
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}

/** The manifest stands above `src/` and `dist/` alike. */
function ownVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return String(Object(manifest).version);
}
