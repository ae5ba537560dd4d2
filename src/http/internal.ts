import { hash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Static } from 'typebox';
import { CatalogueError } from '../errors.ts';
import type { Broadcaster } from '../realtime/broadcaster.ts';
import { broadcastSchema } from './body-schemas.ts';
import { refuseOtherMethods } from './methods.ts';

const path = '/internal/broadcast';

/** `POST /internal/broadcast`: the PHP backend tells every browser something, with the secret both know. */
export function addInternalRoutes(app: FastifyInstance, broadcaster: Broadcaster, secret: string | undefined): void {
  app.post<{ Body: Static<typeof broadcastSchema> }>(
    path,
    // Before the body is read: who does not know the secret is told nothing else.
    { schema: { body: broadcastSchema }, onRequest: async (request) => requireSecret(request, secret) },
    async (request) => {
      await broadcaster.broadcast(request.body.event, request.body.data);
      return { message: 'Broadcast successful' };
    },
  );
  refuseOtherMethods(app, path, ['POST', 'OPTIONS']);
}

/** Digests have one length whatever was sent, so the time of the comparison tells nothing of the secret. */
export function requireSecret(request: FastifyRequest, secret: string | undefined): void {
  const given = request.headers['x-internal-secret'];
  const isRight =
    typeof given === 'string' &&
    secret !== undefined &&
    timingSafeEqual(hash('sha256', given, 'buffer'), hash('sha256', secret, 'buffer'));
  if (!isRight) throw new CatalogueError('BROADCAST_FORBIDDEN');
}
