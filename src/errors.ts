/**
 * The catalogue of everything that can go wrong and be told to someone: a client, an operator, a developer.
 *
 * A code never changes its meaning. What it costs in HTTP is the business of `http/problem.ts`; `docs/errors.md`
 * holds the same table and a test keeps the two equal (the model is fastify's `lib/errors.js`).
 */

interface CatalogueEntry {
  /** What the client reads as `message`; `{name}` is filled from the parameters of the error. */
  readonly message: string;
  /** Whether the same request may succeed later without being changed. */
  readonly retryable: boolean;
  readonly cause: string;
  readonly remedy: string;
}

export const catalogue = {
  INVALID_ID: {
    message: 'Invalid {item} ID',
    retryable: false,
    cause: 'The id in the path is not a positive integer that fits BIGINT UNSIGNED (1 to 18446744073709551615).',
    remedy: 'Send the id as plain decimal digits, without sign, leading zero, exponent or fraction.',
  },
  NOT_FOUND: {
    message: '{item} not found',
    retryable: false,
    cause: 'No row has this id.',
    remedy: 'Check the id; the row may have been deleted.',
  },
  INVALID_PARAMETER: {
    message: 'Invalid parameter: {reason}',
    retryable: false,
    cause: 'A query parameter has a value outside its range, is given twice, or a cursor is not one this service made.',
    remedy: 'Use `limit` from 1 to 100 and pass `after` exactly as it stood in the `Link` header.',
  },
  VALIDATION_FAILED: {
    message: '{reason}',
    retryable: false,
    cause: 'A field of the body is missing, has the wrong type, is blank or too long. `errors` names each field.',
    remedy: 'Correct the named fields.',
  },
  UNKNOWN_REFERENCE: {
    message: 'Unknown {field}: no such row',
    retryable: false,
    cause: 'The body refers to a row that does not exist (for a post: its `user_id`).',
    remedy: 'Create the referenced row first, or send the id of an existing one.',
  },
  NOT_OWNER: {
    message: 'Only the owner may {action} this {item}',
    retryable: false,
    cause:
      'The user of the token is neither the owner of the row nor an administrator. Where writes are open: the owner given in the body of the `DELETE` is not that of the row.',
    remedy: "Ask as the owner. Where writes are open, send the owner's id, or leave it out.",
  },
  TOKEN_MISSING: {
    message: 'A bearer token is needed to write',
    retryable: false,
    cause: 'Writes need `Authorization: Bearer ...`, and the header is missing or has another scheme.',
    remedy: 'Log in at the application, and send its token.',
  },
  TOKEN_INVALID: {
    message: 'The bearer token is not valid: {reason}',
    retryable: false,
    cause:
      'The token has expired, is not valid yet, is signed with another key or algorithm, or lacks a claim that it must have (`exp`, `sub`; `iss` and `aud` where they are configured).',
    remedy: 'Log in again; operators compare `JWT_SECRET` or `JWT_JWKS_URL` with what the application signs with.',
  },
  USER_UNKNOWN: {
    message: 'The bearer token names a user that does not exist',
    retryable: false,
    cause: 'The token is valid, but no row has the id in its claim `sub`: the user may have been deleted.',
    remedy: 'Log in as a user that exists.',
  },
  TOKEN_KEYS_UNAVAILABLE: {
    message: 'The keys that tokens are checked with cannot be had; try again shortly',
    retryable: true,
    cause: '`JWT_JWKS_URL` does not answer in time, or with no key set.',
    remedy: 'Retry after `Retry-After` seconds; operators look at the server of the keys. The log has the reason.',
  },
  PRECONDITION_FAILED: {
    message: 'The {item} has changed: the precondition of If-Match does not hold',
    retryable: false,
    cause: 'The entity tag of the row, read under lock inside the transaction, is none of those in `If-Match`.',
    remedy: 'Read the row again, decide on what it says now, and send its new `ETag`.',
  },
  IDEMPOTENCY_KEY_INVALID: {
    message: 'Invalid Idempotency-Key: 1 to 255 visible ASCII characters are needed',
    retryable: false,
    cause: 'The `Idempotency-Key` header is empty, too long, or has spaces or characters outside ASCII.',
    remedy: 'Use for instance a UUID.',
  },
  IDEMPOTENCY_KEY_REUSED: {
    message: 'This Idempotency-Key was used with another body',
    retryable: false,
    cause: 'A request with the same key and a different body was answered within the last 24 hours.',
    remedy: 'Use a new key for a new request; repeat a key only with the very same body.',
  },
  INVALID_JSON: {
    message: 'The body is not valid JSON',
    retryable: false,
    cause: 'The body cannot be parsed as JSON, or it tries to set `__proto__` or `constructor.prototype`.',
    remedy: 'Send one well-formed JSON object.',
  },
  BAD_REQUEST: {
    message: 'The request is malformed',
    retryable: false,
    cause: 'The request line, the headers or the percent-encoding of the URL are malformed.',
    remedy: 'Correct the request; the service answers plain HTTP/1.1.',
  },
  REQUEST_TIMEOUT: {
    message: 'The request did not arrive in time',
    retryable: true,
    cause: 'Headers or body were sent more slowly than `REQUEST_TIMEOUT_MS` allows.',
    remedy: 'Send the request faster, or raise the limit.',
  },
  HEADERS_TOO_LARGE: {
    message: 'The request headers are too large',
    retryable: false,
    cause: 'The headers exceed 16 KiB altogether.',
    remedy: 'Send fewer or smaller headers (cookies are the usual reason).',
  },
  BODY_TOO_LARGE: {
    message: 'The body is larger than 256 KB',
    retryable: false,
    cause: 'The body of the request is above 262,144 bytes.',
    remedy: 'Send a smaller body.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    message: 'The body must be application/json',
    retryable: false,
    cause: 'The `Content-Type` is not `application/json`.',
    remedy: 'Send `Content-Type: application/json`.',
  },
  ROUTE_NOT_FOUND: {
    message: 'Route not found',
    retryable: false,
    cause: 'No route has this path.',
    remedy: 'Check the path; the README lists them all.',
  },
  METHOD_NOT_ALLOWED: {
    message: 'Method not allowed',
    retryable: false,
    cause: 'The path exists, but not with this method.',
    remedy: 'Use one of the methods in the `Allow` header.',
  },
  BROADCAST_FORBIDDEN: {
    message: 'Forbidden',
    retryable: false,
    cause: '`x-internal-secret` is missing or wrong, or the service has no `REALTIME_API_SECRET`.',
    remedy: 'Configure the same secret on both sides.',
  },
  METRICS_FORBIDDEN: {
    message: 'Forbidden',
    retryable: false,
    cause: 'The service has a `METRICS_TOKEN`, and `Authorization` does not carry it.',
    remedy: 'Give the token to Prometheus: `authorization: { credentials_file: ... }` of the scrape configuration.',
  },
  RESERVED_EVENT: {
    message: 'The event name "{event}" is reserved',
    retryable: false,
    cause:
      '`connect`, `disconnect`, `error` and the like have a meaning of their own in Socket.IO, and names that begin with `energex:` in this service.',
    remedy: 'Choose another event name.',
  },
  LOGIN_REQUIRED: {
    message: 'Log in first',
    retryable: false,
    cause: 'The dashboard was asked for something without a session, or the session has ended (after 12 hours).',
    remedy: 'Log in at `/dashboard` with `OPERATOR_SECRET`.',
  },
  LOGIN_FAILED: {
    message: "That is not the operator's secret",
    retryable: false,
    cause: 'The secret that was given at the dashboard is not `OPERATOR_SECRET`.',
    remedy: 'Look the secret up where the service is configured.',
  },
  TOO_MANY_LOGINS: {
    message: 'Too many wrong secrets; try again in 5 minutes',
    retryable: true,
    cause: 'Ten wrong secrets have come from one address within 5 minutes.',
    remedy: 'Wait. If it was not you, look who knows the address of the dashboard.',
  },
  DASHBOARD_UNAVAILABLE: {
    message: 'The dashboard is not available: {reason}',
    retryable: false,
    cause: 'In production it is closed until `OPERATOR_SECRET` is set; or the page has not been built.',
    remedy: 'Set `OPERATOR_SECRET`, or run `npm run build`.',
  },
  RATE_LIMITED: {
    message: 'Too many {budget}; try again in {seconds} seconds',
    retryable: true,
    cause:
      'More requests have come from one address within a minute than `RATE_LIMIT_READS`, `RATE_LIMIT_WRITES` or `RATE_LIMIT_BROADCASTS` allows.',
    remedy:
      'Wait for `Retry-After` seconds; `RateLimit` tells with each answer what is left. Behind a proxy, name it in `TRUSTED_PROXIES`: else all its clients are one address.',
  },
  DATABASE_UNAVAILABLE: {
    message: 'The database cannot be reached; try again shortly',
    retryable: true,
    cause: 'No connection to MySQL could be had, or it broke while the statement ran (nothing was changed).',
    remedy: 'Retry after `Retry-After` seconds; operators look at MySQL and the network.',
  },
  DATABASE_BUSY: {
    message: 'The database is busy; try again shortly',
    retryable: true,
    cause:
      'All connections of the pool are in use and waiting for one would take longer than `SHED_QUEUE_MS`, or its queue is full; a lock was not to be had, or a statement took too long.',
    remedy: 'Retry after `Retry-After` seconds; operators look at slow statements and `DB_POOL_SIZE`.',
  },
  COMMIT_UNKNOWN: {
    message: 'It is unknown whether the change was stored; read before you retry',
    retryable: true,
    cause: 'The connection broke or timed out while COMMIT was under way.',
    remedy: 'Read the row to see, or retry with the same `Idempotency-Key`.',
  },
  CACHE_UNREACHABLE: {
    message: 'The cache cannot be reached and writes without it are refused; try again shortly',
    retryable: true,
    cause: 'Redis cannot be reached and `WRITE_WITHOUT_CACHE` is `reject`.',
    remedy: 'Retry after `Retry-After` seconds; operators look at Redis.',
  },
  OUTGOING_FULL: {
    message: 'Too many large answers are on their way to slow clients; try again shortly',
    retryable: true,
    cause: 'Clients that are slow to take large answers hold `OUTGOING_MB` of memory already.',
    remedy: 'Retry after `Retry-After` seconds, or read pages (`?limit=`); operators look at who reads so slowly.',
  },
  OVERLOADED: {
    message: 'There is more to do than can be done in time; try again shortly',
    retryable: true,
    cause:
      'The event loop of this instance has been late by more than `SHED_DELAY_MS` for longer than a moment. What it has in memory it answers all the same.',
    remedy:
      'Retry after `Retry-After` seconds, later each time; operators look at `energex_http_requests_shed_total`, and add instances.',
  },
  INTERNAL: {
    message: 'Internal server error',
    retryable: false,
    cause: 'A fault in the service. The log has the stack under the `requestId` of the answer.',
    remedy: 'Report it with the request id.',
  },
  CONFIG_INVALID: {
    message: 'Invalid configuration: {reason}',
    retryable: false,
    cause: 'A setting is missing or has a value outside its range.',
    remedy: 'Correct the named settings; `docs/configuration.md` lists them all.',
  },
  PORT_UNAVAILABLE: {
    message: 'Cannot listen on {address}: {reason}',
    retryable: false,
    cause: 'Another program uses the port, or the user may not use it.',
    remedy: 'Stop the other program or set `PORT`.',
  },
  COMMAND_FAILED: {
    message: '{reason}',
    retryable: false,
    cause: 'A verb of the command line could not do its work.',
    remedy: 'The sentence says why; `energex-cache doctor` looks further.',
  },
  USAGE: {
    message: '{reason}',
    retryable: false,
    cause: 'The command line has an unknown verb or flag, or a value outside its range.',
    remedy: 'Run `energex-cache --help`.',
  },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;

/** One field of a body that is wrong. */
export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

interface Details {
  readonly params?: Readonly<Record<string, string>>;
  readonly fields?: readonly FieldProblem[];
  readonly cause?: unknown;
}

/** An error out of the catalogue: `message` is fit to be shown to the client, `cause` is not. */
export class CatalogueError extends Error {
  override readonly name = 'CatalogueError';
  readonly code: ErrorCode;
  readonly fields: readonly FieldProblem[];

  constructor(code: ErrorCode, details: Details = {}) {
    super(fillIn(catalogue[code].message, details.params ?? {}), { cause: details.cause });
    this.code = code;
    this.fields = details.fields ?? [];
  }

  get retryable(): boolean {
    return catalogue[this.code].retryable;
  }
}

function fillIn(template: string, params: Readonly<Record<string, string>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '');
}

/** The text of anything that was thrown, for logs and start-up messages. */
export function describeError(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map(describeError).join('; ');
  }
  return error instanceof Error ? error.message : String(error);
}
