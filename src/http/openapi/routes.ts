import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import type { Resource } from '../../resources/resource.ts';
import type { Writes } from '../body-schemas.ts';
import { refuseOtherMethods } from '../methods.ts';
import { ownVersion } from '../../own-version.ts';
import { describeHttp } from './document.ts';

const documentPath = '/openapi.json';
const pagePath = '/docs';

/** `GET /openapi.json`, and the same for people to browse and try: `/docs`. */
export async function addOpenapiRoutes(
  app: FastifyInstance,
  resources: readonly Resource[],
  writes: Writes,
): Promise<void> {
  const document = JSON.stringify(describeHttp(resources, ownVersion(), writes));
  app.get(documentPath, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').header('cache-control', 'no-cache').send(document),
  );
  refuseOtherMethods(app, documentPath, ['GET', 'HEAD', 'OPTIONS']);
  await app.register(swagger, { mode: 'static', specification: { document: JSON.parse(document) } });
  await app.register(swaggerUi, {
    routePrefix: pagePath,
    staticCSP: contentPolicy,
    theme: { title: 'EnergeX Cache Service: API' },
    uiConfig: {
      docExpansion: 'list',
      defaultModelsExpandDepth: 0,
      displayRequestDuration: true,
      tryItOutEnabled: true,
    },
  });
  refuseOtherMethods(app, pagePath, ['GET', 'HEAD', 'OPTIONS']);
}

/** The page styles its elements one by one, which no hash can allow; all else comes from here. */
const contentPolicy = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data:",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
};
