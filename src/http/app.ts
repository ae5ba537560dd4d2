import { isUtf8 } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import cors from '@fastify/cors';
import helmet from '@fastify/helmet';
import { fastify, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import type { Outcome } from '../cache/read-through.ts';
import { CatalogueError, type ErrorCode } from '../errors.ts';
import type { Compression } from './compression.ts';
import { FastLane } from './fast-lane.ts';
import { acceptAllMethods } from './methods.ts';
import { type DurationOf, observeRequests } from './request-durations.ts';
import { answerProblem, problemType, statusOf, toProblem } from './problem.ts';
import type { Sending } from './sending.ts';
import { compileSchema, toValidationError } from './validation.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The large answers that are on their way. */
    sending: Sending;
    compression: Compression;
    fastLane: FastLane;
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
  readonly sending: Sending;
  readonly durationOf: DurationOf;
  /** Adds hooks that see each request; `undefined` when nobody traces them. */
  readonly trace: ((app: FastifyInstance) => void) | undefined;
  readonly compression: Compression;
}

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
    requestTimeout: options.requestTimeoutMs,
    // Node looks for requests that are too slow this often.
    http: {
      connectionsCheckingInterval: Math.min(1_000, options.requestTimeoutMs),
      headersTimeout: options.requestTimeoutMs,
      // Node compares the two before fastify sets its own.
      requestTimeout: options.requestTimeoutMs,
    },
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
  app.decorateRequest('cacheResult', undefined);
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
    // Whether there is TLS in front is for the proxy to say.
    strictTransportSecurity: false,
  });
  await app.register(cors, {
    origin: [...options.origins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'],
    exposedHeaders: ['ETag', 'Cache-Status', 'Link', 'Location', 'Retry-After', 'Idempotent-Replayed'],
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

/** Closed when requests are logged or traced: both are fastify's. What listens for requests when all is ready comes behind it. */
function openFastLane(app: FastifyInstance, options: AppOptions): void {
  const lane = new FastLane({ isOpen: !options.logRequests && options.trace === undefined, ...options });
  app.decorate('fastLane', lane);
  app.addHook('onReady', async () => lane.attach(app.server));
  app.addHook('preClose', async () => lane.close());
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

const parserErrors: Readonly<Record<string, ErrorCode>> = {
  HPE_HEADER_OVERFLOW: 'HEADERS_TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'REQUEST_TIMEOUT',
};

/** What is no HTTP never becomes a request; it is answered on the bare socket. */
function refuseMalformed(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = parserErrors[error.code ?? ''] ?? 'BAD_REQUEST';
  const body = JSON.stringify(toProblem(new CatalogueError(code)));
  const status = statusOf(code);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${problemType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n` +
      `X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n${body}`,
  );
}
