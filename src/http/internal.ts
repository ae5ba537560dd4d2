import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { CatalogueError } from '../errors.ts';
import type { Broadcaster } from '../realtime/broadcaster.ts';
import { broadcastSchema } from './body-schemas.ts';
import { refuseOtherMethods } from './methods.ts';
import { isOneOf, type Secrets } from './secrets.ts';

const path = '/internal/broadcast';

/** `POST /internal/broadcast`: the PHP backend tells every browser something, with the secret both know. */
export function addInternalRoutes(app: FastifyInstance, broadcaster: Broadcaster, secrets: Secrets): void {
  app.post<{ Body: Static<typeof broadcastSchema> }>(
    path,
    // Before the body is read: who does not know the secret is told nothing else.
    { schema: { body: broadcastSchema }, onRequest: async (request) => requireSecret(request, secrets) },
    async (request) => {
      await broadcaster.broadcast(request.body.event, request.body.data);
      return { message: 'Broadcast successful' };
    },
  );
  refuseOtherMethods(app, path, ['POST', 'OPTIONS']);
}

export function requireSecret(request: FastifyRequest, secrets: Secrets): void {
  const given = request.headers['x-internal-secret'];
  if (typeof given !== 'string' || !isOneOf(given, secrets)) throw new CatalogueError('BROADCAST_FORBIDDEN');
}
