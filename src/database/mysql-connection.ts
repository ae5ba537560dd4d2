import { Duplex } from 'node:stream';
import type { PoolConnection } from 'mysql2';
import { withDeadline } from '../deadline.ts';
import type { SqlValue } from './database.ts';
import { SilentServer } from './mysql-errors.ts';

/** How one connection to MySQL or MariaDB is used: `mysql.ts` keeps the pool. */

/** Everything goes as text: the driver would send numbers as doubles, whose text ends in an exponent when they are large. */
export function prepared(
  sql: string,
  params: readonly SqlValue[],
): { sql: string; values: (string | null)[]; rowsAsArray: true } {
  return { sql, values: params.map((value) => (value === null ? null : String(value))), rowsAsArray: true };
}

/**
 * The driver is asked by its callbacks: with promises it makes an error for each statement, to have a stack in case of need,
 * which costs as much as a third of the statement.
 */
export function answerOf<T>(ask: (done: (error: Error | null, answer: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}

/** A statement that is not prepared, and whose answer says nothing but that it was done. */
export function command(connection: PoolConnection, sql: string): Promise<unknown> {
  return answerOf((done) => connection.query(sql, done));
}

/** The driver's stack of an error that nobody foresaw ends at the socket: says who asked, too. */
export function addCallers(error: unknown): void {
  const { stack = '' } = new Error('here');
  if (error instanceof Error) error.stack = `${error.stack}${stack.slice(stack.indexOf('\n'))}`;
}

/** mysql2's own `timeout` begins only once a statement is prepared and sent, so it does not bound the wait for it. */
export function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return withDeadline(ms, answer, () => {
    throw new SilentServer(`no answer within ${ms} ms`);
  });
}

/** mysql2's `destroy` takes the connection out of the pool, but leaves the socket open until the server closes it too. */
export function discard(connection: PoolConnection): void {
  connection.destroy();
  streamOf(connection)?.destroy();
}

export function streamOf(connection: PoolConnection): Duplex | undefined {
  return 'stream' in connection && connection.stream instanceof Duplex ? connection.stream : undefined;
}

/**
 * UTC, strict mode, and the server's own limits. The comments are executed by the one server or the other: MySQL knows
 * `max_execution_time` (milliseconds, SELECT only), MariaDB `max_statement_time` (seconds).
 */
export function sessionSettings(statementTimeoutMs: number): string {
  const seconds = statementTimeoutMs / 1000;
  return (
    `SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES'), ` +
    `innodb_lock_wait_timeout = ${Math.max(1, Math.floor(seconds / 2))}` +
    ` /*M!100100 , max_statement_time = ${seconds} */ /*!80000 , max_execution_time = ${statementTimeoutMs} */`
  );
}
