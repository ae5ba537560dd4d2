import { Duplex } from 'node:stream';
import { createPool, type Pool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2';
import { OutcomeUnknown } from '../cache/write-fence.ts';
import { withDeadline } from '../deadline.ts';
import { CatalogueError } from '../errors.ts';
import { observed } from './channels.ts';
import { type Database, type Dialect, type Executed, type Queryable, type Row, type SqlValue } from './database.ts';
import { readOrigin } from './mysql-origin.ts';
import { connectionIsGone, errorNumber, isDeadlock, SilentServer, translateError } from './mysql-errors.ts';

/** MySQL takes a placeholder that is cast to UNSIGNED itself for a signed one, which ends at 2^63. */
export const mysqlDialect: Dialect = {
  name: 'mysql',
  integer: 'CAST(CAST(? AS CHAR) AS UNSIGNED)',
  forUpdate: ' FOR UPDATE',
  // MariaDB does not know FOR SHARE.
  forShare: ' LOCK IN SHARE MODE',
};

/**
 * MySQL 8.0 to 9.7 and MariaDB 10.11 or newer: prepared statements over a bounded pool with a bounded queue, every wait
 * with a deadline. A connection on which something timed out is destroyed, never reused: its next answer would be the
 * one to the question before.
 */
export class MysqlDatabase implements Database {
  readonly dialect = mysqlDialect;
  readonly #pool: Pool;
  readonly #options: MysqlOptions;
  /** The connections whose session has the settings, with their origin; others get them before their first use. */
  readonly #settled = new WeakMap<object, string>();
  #origin = '';
  #closed: Promise<void> | undefined;
  #open = 0;
  #used = 0;
  #waiting = 0;

  /** Connects to nothing yet: connections are made when they are needed. */
  constructor(options: MysqlOptions) {
    this.#options = options;
    this.#pool = createPool({
      ...options.server,
      connectionLimit: options.poolSize,
      maxIdle: options.poolSize,
      queueLimit: options.queueLimit,
      waitForConnections: true,
      connectTimeout: options.connectTimeoutMs,
      enableKeepAlive: true,
      // Servers allow 16,382 prepared statements for all connections of all clients together.
      maxPreparedStatements: mostStatements,
      // For BEGIN and what comes next in one round trip. Values only ever go into prepared statements, which are one each.
      multipleStatements: true,
      charset: 'utf8mb4_unicode_ci',
      timezone: 'Z',
      dateStrings: true,
      supportBigNumbers: true,
      bigNumberStrings: false,
    });
    this.#pool.on('connection', (connection) => {
      // Whoever waits for an answer is told by that; a second error on a broken connection must not end the process.
      connection.on('error', () => undefined);
      this.#open += 1;
      streamOf(connection)?.once('close', () => {
        this.#open -= 1;
      });
    });
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#withConnection((connection) => this.#on(connection).query(sql, params));
  }

  execute(sql: string, params: readonly SqlValue[] = []): Promise<Executed> {
    return this.#withConnection((connection) => this.#on(connection).execute(sql, params));
  }

  async transaction<T>(work: Work<T>, opening?: string): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#withConnection((connection) => this.#transactOnce(connection, work, opening));
      } catch (error) {
        const victim = error instanceof CatalogueError && isDeadlock(error.cause);
        if (!victim || attempt === mostAttempts) throw error;
      }
    }
  }

  async ping(): Promise<void> {
    await this.query('SELECT 1');
  }

  close(): Promise<void> {
    // What it fails with is a connection that broke on the way, so that one is closed as well.
    this.#closed ??= new Promise((resolve) => this.#pool.end(() => resolve()));
    return this.#closed;
  }

  async #transactOnce<T>(connection: PoolConnection, work: Work<T>, opening: string | undefined): Promise<T> {
    const transaction = this.#on(connection);
    let result: T;
    try {
      result = await work(transaction, await this.#begin(connection, opening));
    } catch (error) {
      // A connection that cannot even roll back is thrown away, which rolls back as well.
      await this.#send(connection, 'ROLLBACK').catch(() => discard(connection));
      throw error;
    }
    await this.#commit(connection);
    return result;
  }

  /** An error that the server sent means that it rolled back; one of the connection means that nobody knows. */
  async #commit(connection: PoolConnection): Promise<void> {
    try {
      await observed('mysql', 'COMMIT', () => within(this.#options.commitTimeoutMs, command(connection, 'COMMIT')));
    } catch (error) {
      if (errorNumber(error) !== undefined && !connectionIsGone(error)) throw translateError(error);
      discard(connection);
      throw new OutcomeUnknown('COMMIT was not answered', { cause: error });
    }
  }

  get origin(): string {
    return this.#origin;
  }

  /** How many connections are used or idle, and how many requests wait for one. */
  get connections(): { readonly used: number; readonly idle: number; readonly waiting: number } {
    return { used: this.#used, idle: Math.max(0, this.#open - this.#used), waiting: this.#waiting };
  }

  async #withConnection<T>(use: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await this.#acquireCurrent();
    this.#used += 1;
    try {
      return await use(connection);
    } finally {
      this.#used -= 1;
      connection.release();
    }
  }

  /** A connection to the server that the newest connection leads to: those to one from before a failover are closed. */
  async #acquireCurrent(): Promise<PoolConnection> {
    for (;;) {
      const connection = await this.#acquire();
      const origin = this.#settled.get(connection);
      if (origin === this.#origin) return connection;
      try {
        if (origin === undefined) {
          await this.#settle(connection);
          return connection;
        }
        discard(connection);
      } catch (error) {
        connection.release();
        throw error;
      }
      connection.release();
    }
  }

  /** The wait for a free connection has a deadline of its own; a connection that comes too late goes back. */
  async #acquire(): Promise<PoolConnection> {
    const pending = answerOf<PoolConnection>((done) => this.#pool.getConnection(done));
    this.#waiting += 1;
    try {
      return await within(this.#options.acquireTimeoutMs, pending);
    } catch (error) {
      pending.then(
        (connection) => connection.release(),
        () => undefined,
      );
      throw translateError(error);
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Without the settings times would be wrong, so no connection is used without them. */
  async #settle(connection: PoolConnection): Promise<void> {
    const { connectTimeoutMs, statementTimeoutMs } = this.#options;
    try {
      await within(connectTimeoutMs, command(connection, sessionSettings(statementTimeoutMs)));
      const origin = this.#options.origin ?? (await within(connectTimeoutMs, readOrigin(connection.promise())));
      this.#origin = origin;
      this.#settled.set(connection, origin);
    } catch (error) {
      discard(connection);
      throw new CatalogueError('DATABASE_UNAVAILABLE', { cause: error });
    }
  }

  /** Statements on one connection. */
  #on(connection: PoolConnection): Queryable {
    return {
      query: async (sql, params = []) => {
        const rows = await this.#run(
          connection,
          sql,
          answerOf<RowDataPacket[][]>((done) => connection.execute(prepared(sql, params), done)),
        );
        // The rows are arrays of what the options of the pool let through: strings, numbers and null.
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion
        return rows as unknown as Row[];
      },
      execute: async (sql, params = []) => {
        const { affectedRows, insertId } = await this.#run(
          connection,
          sql,
          answerOf<ResultSetHeader>((done) => connection.execute(prepared(sql, params), done)),
        );
        // The driver reads ids as signed.
        return { affectedRows, insertId: String(BigInt.asUintN(64, BigInt(insertId))) };
      },
    };
  }

  async #begin(connection: PoolConnection, opening: string | undefined): Promise<readonly Row[]> {
    if (opening === undefined) {
      await this.#send(connection, 'START TRANSACTION');
      return [];
    }
    const sql = `START TRANSACTION; ${opening}`;
    const [, rows] = await this.#run(
      connection,
      sql,
      answerOf<RowDataPacket[][]>((done) => connection.query({ sql, rowsAsArray: true }, done)),
    );
    // See `query`.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return rows as unknown as Row[];
  }

  /** For what cannot be prepared on all supported servers. */
  async #send(connection: PoolConnection, sql: 'START TRANSACTION' | 'ROLLBACK'): Promise<void> {
    await this.#run(connection, sql, command(connection, sql));
  }

  async #run<T>(connection: PoolConnection, sql: string, answer: Promise<T>): Promise<T> {
    try {
      return await observed('mysql', sql, () => within(this.#options.statementTimeoutMs + clientGraceMs, answer));
    } catch (error) {
      if (connectionIsGone(error)) discard(connection);
      const translated = translateError(error);
      if (translated === error) addCallers(error);
      throw translated;
    }
  }
}

type Work<T> = (transaction: Queryable, opened: readonly Row[]) => Promise<T>;

export interface MysqlOptions {
  readonly server: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
    readonly database: string;
  };
  /** Taken for the origin of all data, whichever server a connection leads to. */
  readonly origin?: string | undefined;
  readonly poolSize: number;
  /** How many requests may wait for a connection; one more gets `DATABASE_BUSY` at once. */
  readonly queueLimit: number;
  readonly connectTimeoutMs: number;
  /** How long a request waits for a connection of the pool. */
  readonly acquireTimeoutMs: number;
  readonly statementTimeoutMs: number;
  /** Longer than semi-synchronous replication waits, shorter than a fence. */
  readonly commitTimeoutMs: number;
}

const mostAttempts = 4;
/** The server ends a statement by its own limit first; the client's limit is for a server that is silent. */
const clientGraceMs = 500;

/** Of one connection; the least recently used is closed for a new one. */
const mostStatements = 200;

/** Everything goes as text: the driver would send numbers as doubles, whose text ends in an exponent when they are large. */
function prepared(
  sql: string,
  params: readonly SqlValue[],
): { sql: string; values: (string | null)[]; rowsAsArray: true } {
  return { sql, values: params.map((value) => (value === null ? null : String(value))), rowsAsArray: true };
}

/**
 * The driver is asked by its callbacks: with promises it makes an error for each statement, to have a stack in case of need,
 * which costs as much as a third of the statement.
 */
function answerOf<T>(ask: (done: (error: Error | null, answer: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    ask((error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}

/** A statement that is not prepared, and whose answer says nothing but that it was done. */
function command(connection: PoolConnection, sql: string): Promise<unknown> {
  return answerOf((done) => connection.query(sql, done));
}

/** The driver's stack of an error that nobody foresaw ends at the socket: says who asked, too. */
function addCallers(error: unknown): void {
  const { stack = '' } = new Error('here');
  if (error instanceof Error) error.stack = `${error.stack}${stack.slice(stack.indexOf('\n'))}`;
}

/** mysql2's own `timeout` begins only once a statement is prepared and sent, so it does not bound the wait for it. */
function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return withDeadline(ms, answer, () => {
    throw new SilentServer(`no answer within ${ms} ms`);
  });
}

/** mysql2's `destroy` takes the connection out of the pool, but leaves the socket open until the server closes it too. */
function discard(connection: PoolConnection): void {
  connection.destroy();
  streamOf(connection)?.destroy();
}

function streamOf(connection: PoolConnection): Duplex | undefined {
  return 'stream' in connection && connection.stream instanceof Duplex ? connection.stream : undefined;
}

/**
 * UTC, strict mode, and the server's own limits. The comments are executed by the one server or the other: MySQL knows
 * `max_execution_time` (milliseconds, SELECT only), MariaDB `max_statement_time` (seconds).
 */
function sessionSettings(statementTimeoutMs: number): string {
  const seconds = statementTimeoutMs / 1000;
  return (
    `SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES'), ` +
    `innodb_lock_wait_timeout = ${Math.max(1, Math.floor(seconds / 2))}` +
    ` /*M!100100 , max_statement_time = ${seconds} */ /*!80000 , max_execution_time = ${statementTimeoutMs} */`
  );
}
