import { isUtf8 } from 'node:buffer';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import type { Outcome } from '../cache/answer.ts';
import { CatalogueError } from '../errors.ts';
import type { Compression } from './compression.ts';
import { boundConnections } from './connection-bound.ts';
import { FastLane } from './fast-lane.ts';
import { Gate } from './gate.ts';
import { LearnedHeaders } from './learned-headers.ts';
import { acceptAllMethods } from './methods.ts';
import { type DurationOf, observeRequests } from './request-durations.ts';
import { refuseMalformed } from './malformed.ts';
import { answerProblem } from './problem.ts';
import type { LoadShedding } from '../overload/load-shedding.ts';
import type { Sending } from './sending.ts';
import { requireHost, serverOptions, tameServer } from './server-options.ts';
import { compileSchema, toValidationError } from './validation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The large answers that are on their way. */
    sending: Sending;
    compression: Compression;
    fastLane: FastLane;
    gate: Gate;
    learnedHeaders: LearnedHeaders;
    /** From now on each answer tells its client to close the connection. */
    sendAway: () => void;
  }
  interface FastifyRequest {
    /** What the cache did for this request, for the log. */
    cacheResult: Outcome['kind'] | undefined;
  }
}

export interface AppOptions {
  readonly logger: FastifyBaseLogger;
  readonly logRequests: boolean;
  readonly origins: readonly string[];
  readonly requestTimeoutMs: number;
  readonly mostConnections: number;
  readonly sending: Sending;
  readonly durationOf: DurationOf;
  /** Adds hooks that see each request; `undefined` when nobody traces them. */
  readonly trace: ((app: FastifyInstance) => void) | undefined;
  readonly compression: Compression;
  /** `undefined`: nothing is refused, however much there is to do. */
  readonly shedding: LoadShedding | undefined;
  /** Each read must be seen by a hook that counts it. */
  readonly limitsReads: boolean;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
}

/** What scripts of other origins may read beside what they always may. */
const readableHeaders = [
  'ETag',
  'Cache-Status',
  'Link',
  'Location',
  'Retry-After',
  'RateLimit',
  'RateLimit-Policy',
  'WWW-Authenticate',
  'Idempotent-Replayed',
] as const;

const bodyLimitBytes = 256 * 1024;
const preflightMaxAgeS = 600;
/** The URL is bounded by the limit of the headers (16 KiB); an id of any length gets the answer of an invalid id. */
const longestParameter = 16 * 1024;

/** The HTTP server without routes: parsing, headers, errors, time-outs, request log. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const app: FastifyInstance = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    trustProxy: options.trustedProxies.length > 0 && [...options.trustedProxies],
    requestTimeout: options.requestTimeoutMs,
    // Node compares its time-outs before fastify sets its own.
    http: serverOptions(options.requestTimeoutMs),
    forceCloseConnections: 'idle',
    // A request on a connection that was open before is answered, with `Connection: close`.
    return503OnClosing: false,
    routerOptions: { maxParamLength: longestParameter, ignoreTrailingSlash: true },
    exposeHeadRoutes: true,
    schemaErrorFormatter: (errors) => toValidationError(errors),
    // No hook runs for a URL that cannot be decoded, so the headers of all answers are not there.
    frameworkErrors: (error, request, reply) => void answerProblem(error, request, reply.headers(noSniffing)),
    clientErrorHandler: refuseMalformed,
  });
  boundConnections(app.server, options.mostConnections);
  tameServer(app.server);
  app.addHook('onRequest', async ({ raw }) => requireHost(raw));
  app.decorateRequest('cacheResult', undefined);
  app.decorateRequest('user', undefined);
  app.decorate('sending', options.sending);
  app.decorate('compression', options.compression);
  app.addHook('onClose', async () => options.compression.close());
  openFastLane(app, options);
  app.setValidatorCompiler(({ schema }) => compileSchema(Object(schema)));
  acceptAllMethods(app);
  // The body of a request to an unknown path is parsed too; what is wrong with it is of no interest.
  app.setErrorHandler((error, request, reply) =>
    answerProblem(request.is404 ? new CatalogueError('ROUTE_NOT_FOUND') : error, request, reply),
  );
  app.setNotFoundHandler(() => {
    throw new CatalogueError('ROUTE_NOT_FOUND');
  });
  acceptJsonOnly(app);
  await app.register(helmet, {
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] }, useDefaults: false },
    // The frontend lives on another origin.
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    // For browsers that do not know `frame-ancestors`.
    frameguard: { action: 'deny' },
    // Whether there is TLS in front is for the proxy to say.
    strictTransportSecurity: false,
  });
  await app.register(cors, {
    origin: [...options.origins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: [...readableHeaders],
    // A browser asks before each read that is conditional, unless it may remember the answer.
    maxAge: preflightMaxAgeS,
    // Left to the routes: see `withCors` of `methods.ts`.
    preflight: false,
  });
  options.trace?.(app);
  observeRequests(app, options.durationOf);
  if (options.logRequests) logRequests(app);
  return app;
}

/** Closed when requests are logged or traced, or reads are limited: that is fastify's. What listens for requests when all is ready comes behind it. */
function openFastLane(app: FastifyInstance, options: AppOptions): void {
  const isOpen = !options.logRequests && !options.limitsReads && options.trace === undefined;
  const headers = new LearnedHeaders(options.origins);
  const gate = new Gate({ headers, ...options });
  const lane = new FastLane({ isOpen, headers, gate, ...options });
  app.decorate('learnedHeaders', headers);
  app.decorate('gate', gate);
  app.decorate('fastLane', lane);
  app.addHook('onReady', async () => {
    gate.attach(app.server);
    lane.attach(app.server);
  });
  let isLeaving = false;
  app.decorate('sendAway', () => {
    isLeaving = true;
    lane.close();
  });
  app.addHook('onRequest', async (_request, reply) => {
    if (isLeaving) reply.header('connection', 'close');
  });
  app.addHook('preClose', async () => lane.close());
  app.addHook('onClose', async () => options.shedding?.stop());
}

/**
 * An empty body is left to the schema of the route, which says what is missing. JSON is UTF-8 (RFC 8259, section 8.1);
 * decoded all the same, other bytes would be stored as replacement characters.
 */
function acceptJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else if (isUtf8(body)) void parse(request, body.toString(), done);
    else done(new CatalogueError('INVALID_JSON'), undefined);
  });
}

const noSniffing = { 'x-content-type-options': 'nosniff' };

/** A hook that is not there costs nothing, so there is none when the log is off. */
function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    request.log.info(
      {
        method: request.method,
        route: routeOf(request),
        status: reply.raw.statusCode,
        durationMs: Math.round(reply.elapsedTime * 1000) / 1000,
        ...(request.cacheResult === undefined ? {} : { cache: request.cacheResult }),
      },
      'request',
    );
  });
}

/** The pattern, not the URL: ids and query strings do not belong into a log. */
function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'none';
}
