import { existsSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { fastifyCookie as cookie } from '@fastify/cookie';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { CatalogueError } from '../../errors.ts';
import type { Position } from '../../realtime/event-log.ts';
import type { Resource } from '../../resources/resource.ts';
import { refuseOtherMethods } from '../methods.ts';
import { ownVersion } from '../../own-version.ts';
import type { Sessions } from './sessions.ts';

/** What the dashboard shows and does. */
export interface DashboardParts {
  readonly sessions: Sessions;
  /** Why nobody may see it; `undefined` when they may. */
  readonly closedBecause: string | undefined;
  readonly resources: readonly Resource[];
  readonly operations: DashboardOperations;
}

export interface DashboardOperations {
  /** The metrics in Prometheus' text format. */
  metrics(): Promise<string>;
  /** Live figures of the process. */
  stats(): Promise<object>;
  readiness(): Promise<object>;
  /** How much the memory of the process and the store hold. */
  usage(): Promise<object>;
  /** Some of the keys that match a pattern of Redis. */
  keys(match: string): Promise<object>;
  key(key: string): Promise<object>;
  /** What the event log holds behind a position, and how far that goes; without one where the log ends. */
  events(behind: Position | undefined): Promise<object>;
  /** `what`: a key, or the name of a resource for all of it. `tellsClients`: live clients then read anew. */
  invalidate(what: string, tellsClients: boolean): Promise<object>;
}

const pagePath = '/dashboard';
const cookieName = 'energex_operator';
/** Below `src/` and below `dist/` alike. */
const builtPage = join(import.meta.dirname, '..', '..', '..', 'dist', 'dashboard');

const longestKey = 1_024;
const keyQuery = Type.Object({ key: Type.String({ minLength: 1, maxLength: longestKey }) });
const keysQuery = Type.Object({
  match: Type.String({ minLength: 1, maxLength: longestKey }),
});
const eventsQuery = Type.Object({
  epoch: Type.Optional(Type.String({ maxLength: longestKey })),
  offset: Type.Optional(Type.String({ pattern: String.raw`^\d{1,15}$` })),
});
const invalidateBody = Type.Object({ ...keyQuery.properties, tellClients: Type.Optional(Type.Boolean()) });
const loginBody = Type.Object({ secret: Type.String({ maxLength: longestKey }) });

/** `/dashboard`: the page for operators, and what it asks for below `/dashboard/api`. */
export async function addDashboard(app: FastifyInstance, parts: DashboardParts, page = builtPage): Promise<void> {
  await app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      reply.header('cache-control', 'no-store');
      refuseWhileClosed(parts);
      refuseOtherSites(request);
    });
    await scope.register(cookie);
    addSessionRoutes(scope, parts);
    addOperations(scope, parts);
    addPage(scope, page);
  });
}

/** Whether a handshake comes from the dashboard, which lies on another origin than the frontend: from whoever may use it. */
export function comesFromDashboard(
  { headers }: IncomingMessage,
  { sessions, closedBecause }: Pick<DashboardParts, 'sessions' | 'closedBecause'>,
): boolean {
  if (closedBecause !== undefined || headers.origin?.replace(/^https?:\/\//, '') !== headers.host) return false;
  return sessions.admits(cookie.parse(headers.cookie ?? '')[cookieName]);
}

function refuseWhileClosed({ closedBecause }: Pick<DashboardParts, 'closedBecause'>): void {
  if (closedBecause !== undefined) throw unavailable(closedBecause);
}

function unavailable(reason: string): CatalogueError {
  return new CatalogueError('DASHBOARD_UNAVAILABLE', { params: { reason } });
}

/** Browsers say it: https://www.w3.org/TR/fetch-metadata/. A link from elsewhere may open the page, and do nothing more. */
function refuseOtherSites(request: FastifyRequest): void {
  const site = request.headers['sec-fetch-site'];
  const isElsewhere = site === 'cross-site' || site === 'same-site';
  if (isElsewhere && request.url.startsWith(`${pagePath}/api`)) throw new CatalogueError('LOGIN_REQUIRED');
}

function addSessionRoutes(app: FastifyInstance, { sessions, resources }: DashboardParts): void {
  const path = `${pagePath}/api/session`;
  const tell = (isLoggedIn: boolean): object => ({
    loginNeeded: sessions.loginNeeded,
    loggedIn: isLoggedIn,
    version: ownVersion(),
    resources: isLoggedIn ? resources.map(({ name, path: at, item }) => ({ name, path: at, item })) : [],
  });
  app.get(path, async (request) => tell(sessions.admits(request.cookies[cookieName])));
  app.post<{ Body: { secret: string } }>(path, { schema: { body: loginBody } }, async (request, reply) => {
    const { token, maxAgeS } = sessions.open(request.body.secret, request.ip);
    setCookie(request, reply, token, maxAgeS);
    return tell(true);
  });
  app.delete(path, async (request, reply) => {
    setCookie(request, reply, '', 0);
    return tell(!sessions.loginNeeded);
  });
  refuseOtherMethods(app, path, ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']);
}

/** The root of the cookie is that of the service: the handshake of the live events shows it as well. */
function setCookie(request: FastifyRequest, reply: FastifyReply, token: string, maxAgeS: number): void {
  const isSecure = request.protocol === 'https' || request.headers['x-forwarded-proto'] === 'https';
  reply.setCookie(cookieName, token, {
    path: '/',
    httpOnly: true,
    sameSite: 'strict',
    secure: isSecure,
    maxAge: maxAgeS,
  });
}

function addOperations(app: FastifyInstance, { sessions, operations }: DashboardParts): void {
  const onRequest = async (request: FastifyRequest): Promise<void> => {
    if (!sessions.admits(request.cookies[cookieName])) throw new CatalogueError('LOGIN_REQUIRED');
  };
  const api = `${pagePath}/api`;
  app.get(`${api}/metrics`, { onRequest }, async (_request, reply) => {
    reply.type('text/plain; charset=utf-8');
    return await operations.metrics();
  });
  app.get(`${api}/stats`, { onRequest }, () => operations.stats());
  app.get(`${api}/readiness`, { onRequest }, () => operations.readiness());
  app.get(`${api}/usage`, { onRequest }, () => operations.usage());
  app.get<{ Querystring: { match: string } }>(
    `${api}/keys`,
    { onRequest, schema: { querystring: keysQuery } },
    ({ query }) => operations.keys(query.match),
  );
  app.get<{ Querystring: { key: string } }>(
    `${api}/key`,
    { onRequest, schema: { querystring: keyQuery } },
    ({ query }) => operations.key(query.key),
  );
  app.get<{ Querystring: { epoch?: string; offset?: string } }>(
    `${api}/events`,
    { onRequest, schema: { querystring: eventsQuery } },
    ({ query: { epoch, offset } }) =>
      operations.events(epoch === undefined ? undefined : { epoch, offset: Number(offset ?? 0) }),
  );
  app.post<{ Body: { key: string; tellClients?: boolean } }>(
    `${api}/invalidate`,
    { onRequest, schema: { body: invalidateBody } },
    ({ body }) => operations.invalidate(body.key, body.tellClients ?? false),
  );
  for (const name of ['metrics', 'stats', 'readiness', 'usage', 'keys', 'key', 'events']) {
    refuseOtherMethods(app, `${api}/${name}`, ['GET', 'HEAD', 'OPTIONS']);
  }
  refuseOtherMethods(app, `${api}/invalidate`, ['POST', 'OPTIONS']);
}

/** The page is no secret; what it shows is. */
function addPage(app: FastifyInstance, page: string): void {
  if (!existsSync(page)) {
    app.get(pagePath, () => {
      throw unavailable('it has not been built; run `npm run build`');
    });
    return;
  }
  void app.register(fastifyStatic, {
    root: page,
    prefix: pagePath,
    prefixAvoidTrailingSlash: true,
    cacheControl: false,
    setHeaders: (reply, path) => {
      reply.header('content-security-policy', contentPolicy);
      // The names of the files have a hash of what they hold.
      if (path.includes('/assets/')) reply.header('cache-control', 'public, max-age=31536000, immutable');
    },
  });
}

/** Everything comes from here. Charts are canvases; their sizes are set by scripts, which no policy for styles minds. */
const contentPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');
