import { CatalogueError } from '../errors.ts';
import { ConstraintViolation } from './database.ts';

/**
 * What the error numbers of MySQL and MariaDB mean to this service.
 * Source: "Server Error Message Reference" of the MySQL manual, "MariaDB Error Code Reference".
 */
const foreignKey = new Set([1216, 1217, 1451, 1452]);
const duplicate = new Set([1062]);
/** Both roll the transaction back as a whole. 1020 is MariaDB's, under `innodb_snapshot_isolation` (on since 11.6). */
const deadlock = new Set([1020, 1213]);
/** Lock wait timeout, query interrupted, MySQL's and MariaDB's statement time-out. */
const busy = new Set([1205, 1317, 1969, 3024]);
/** Too many connections, bad database, access denied, shutting down, killed, read-only, table not there yet. */
const unavailable = new Set([
  1040, 1044, 1045, 1049, 1053, 1080, 1129, 1130, 1142, 1146, 1152, 1184, 1203, 1226, 1290, 1792, 1836, 1927, 3169,
]);
/** The server closes the connection after sending one of these. */
const fatal = new Set([1053, 1152, 1184, 1927, 3169]);

/** The number the server sent; `undefined` when the error did not come from the server. */
export function errorNumber(error: unknown): number | undefined {
  const number = memberOf(error, 'errno');
  // The errors of the operating system have numbers of their own, and no SQL state.
  return typeof number === 'number' && typeof memberOf(error, 'sqlState') === 'string' ? number : undefined;
}

export function isDeadlock(error: unknown): boolean {
  return deadlock.has(errorNumber(error) ?? 0);
}

/** No answer came in time. What comes later on the same connection would be taken for the answer to something else. */
export class SilentServer extends Error {
  override readonly name = 'SilentServer';
}

/** Whether the connection is of no more use: it broke, timed out, or the server has ended it. */
export function connectionIsGone(error: unknown): boolean {
  const number = errorNumber(error);
  return number === undefined ? error instanceof SilentServer || isConnectionError(error) : fatal.has(number);
}

/** The error of the port; an error of a statement that nobody foresaw stays as it is. */
export function translateError(error: unknown): unknown {
  const number = errorNumber(error);
  if (number === undefined) {
    // The pool's own errors have nothing but their text.
    if (error instanceof SilentServer || memberOf(error, 'message') === 'Queue limit reached.') {
      return new CatalogueError('DATABASE_BUSY', { cause: error });
    }
    const isUnavailable = isConnectionError(error) || memberOf(error, 'message') === 'Pool is closed.';
    return isUnavailable ? new CatalogueError('DATABASE_UNAVAILABLE', { cause: error }) : error;
  }
  if (foreignKey.has(number)) return new ConstraintViolation('foreign-key', error);
  if (duplicate.has(number)) return new ConstraintViolation('duplicate', error);
  if (busy.has(number) || deadlock.has(number)) return new CatalogueError('DATABASE_BUSY', { cause: error });
  if (unavailable.has(number)) return new CatalogueError('DATABASE_UNAVAILABLE', { cause: error });
  return error;
}

/** mysql2 and node:net give every failure of a connection a `code` or the mark `fatal`; programming errors have neither. */
function isConnectionError(error: unknown): boolean {
  const code = memberOf(error, 'code');
  return (
    memberOf(error, 'fatal') === true ||
    (typeof code === 'string' && /^(PROTOCOL_|E[A-Z]+$|HANDSHAKE_|POOL_)/.test(code))
  );
}

function memberOf(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined;
}
