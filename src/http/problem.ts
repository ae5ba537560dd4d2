import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { CatalogueError, type ErrorCode } from '../errors.ts';
import { publishShed, Shed } from '../overload/shed.ts';

/**
 * Errors as answers: `application/problem+json` (RFC 9457) with a `message` beside it, which the frontend shows. What
 * the catalogue does not know is an internal error: it is logged with its stack, and nothing of it is shown.
 */
const statuses: Readonly<Record<AnswerableCode, number>> = {
  INVALID_ID: 400,
  NOT_FOUND: 404,
  INVALID_PARAMETER: 400,
  VALIDATION_FAILED: 400,
  UNKNOWN_REFERENCE: 422,
  NOT_OWNER: 403,
  TOKEN_MISSING: 401,
  TOKEN_INVALID: 401,
  USER_UNKNOWN: 401,
  TOKEN_KEYS_UNAVAILABLE: 503,
  PRECONDITION_FAILED: 412,
  IDEMPOTENCY_KEY_INVALID: 400,
  IDEMPOTENCY_KEY_REUSED: 422,
  INVALID_JSON: 400,
  BAD_REQUEST: 400,
  REQUEST_TIMEOUT: 408,
  HEADERS_TOO_LARGE: 431,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  ROUTE_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  BROADCAST_FORBIDDEN: 403,
  METRICS_FORBIDDEN: 403,
  RESERVED_EVENT: 400,
  LOGIN_REQUIRED: 401,
  LOGIN_FAILED: 401,
  TOO_MANY_LOGINS: 429,
  DASHBOARD_UNAVAILABLE: 404,
  RATE_LIMITED: 429,
  DATABASE_UNAVAILABLE: 503,
  DATABASE_BUSY: 503,
  COMMIT_UNKNOWN: 503,
  CACHE_UNREACHABLE: 503,
  OUTGOING_FULL: 503,
  OVERLOADED: 503,
  INTERNAL: 500,
};

/** All but those that end the process before it answers anyone. */
type AnswerableCode = Exclude<ErrorCode, 'CONFIG_INVALID' | 'PORT_UNAVAILABLE' | 'COMMAND_FAILED' | 'USAGE'>;

/** `undefined` for a code that is never the answer to a request. */
export function findStatus(code: ErrorCode): number | undefined {
  const known: Readonly<Partial<Record<ErrorCode, number>>> = statuses;
  return known[code];
}

export function statusOf(code: ErrorCode): number {
  return findStatus(code) ?? 500;
}

export const problemType = 'application/problem+json; charset=utf-8';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: string;
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
  readonly requestId?: string;
}

export function toProblem(error: CatalogueError, requestId?: string): Problem {
  const status = statusOf(error.code);
  return {
    type: `urn:energex:error:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code: error.code,
    message: error.message,
    detail: error.message,
    ...(error.fields.length === 0 ? {} : { errors: error.fields }),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** The error handler of the application. */
export async function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const known = recognise(error);
  if (known.code === 'INTERNAL') {
    request.log.error({ err: error }, 'request failed');
  } else if (known instanceof Shed) {
    // There are too many for a line each: the log tells how many.
    publishShed(known.reason);
  } else if (statusOf(known.code) >= 500) {
    request.log.warn({ code: known.code, reason: reasonOf(known) }, 'request could not be served');
  }
  if (known.retryable && statusOf(known.code) === 503) reply.header('retry-after', '1');
  // A 404 of today is the row of tomorrow; and what a token has led to is nobody else's.
  reply.header('cache-control', 'no-store');
  const challenge = challengeOf(known);
  if (challenge !== undefined) reply.header('www-authenticate', challenge);
  await reply
    .code(statusOf(known.code))
    .type(problemType)
    .send(JSON.stringify(toProblem(known, request.id)));
}

/** What a token must be, for who has none or a wrong one (RFC 6750, section 3). Messages of the catalogue have no quotes. */
function challengeOf({ code, message }: CatalogueError): string | undefined {
  const challenge = 'Bearer realm="EnergeX"';
  if (code === 'TOKEN_MISSING') return challenge;
  const isInvalid = code === 'TOKEN_INVALID' || code === 'USER_UNKNOWN';
  return isInvalid ? `${challenge}, error="invalid_token", error_description="${message}"` : undefined;
}

function reasonOf({ cause }: CatalogueError): string | undefined {
  return cause instanceof Error ? cause.message : undefined;
}

const fastifyCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_JSON_BODY: 'INVALID_JSON',
};

/** What fastify itself refuses with a status below 500 is the client's doing; the rest is ours. */
function recognise(error: unknown): CatalogueError {
  if (error instanceof CatalogueError) return error;
  if (!isFastifyError(error)) return new CatalogueError('INTERNAL', { cause: error });
  const code = fastifyCodes[error.code];
  if (code !== undefined) return new CatalogueError(code, { cause: error });
  const isClientsFault = error.statusCode !== undefined && error.statusCode < 500;
  return new CatalogueError(isClientsFault ? 'BAD_REQUEST' : 'INTERNAL', { cause: error });
}

function isFastifyError(error: unknown): error is FastifyError {
  return error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';
}
