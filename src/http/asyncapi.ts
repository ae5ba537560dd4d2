import type { FastifyInstance } from 'fastify';
import { describeLiveEvents } from '../realtime/asyncapi.ts';
import type { Resource } from '../resources/resource.ts';
import { refuseOtherMethods } from './methods.ts';
import { ownVersion } from '../own-version.ts';

const path = '/asyncapi.json';

/** `GET /asyncapi.json`: what browsers hear, for programs. */
export function addAsyncapiRoute(app: FastifyInstance, resources: readonly Resource[]): void {
  const document = JSON.stringify(describeLiveEvents(resources, ownVersion()));
  app.get(path, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').header('cache-control', 'no-cache').send(document),
  );
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'OPTIONS']);
}
