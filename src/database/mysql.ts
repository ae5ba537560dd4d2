import { createPool, type Pool, type PoolConnection, type ResultSetHeader, type RowDataPacket } from 'mysql2';
import { OutcomeUnknown } from '../cache/write-fence.ts';
import { CatalogueError } from '../errors.ts';
import { observed } from './channels.ts';
import type {
  Connections,
  Database,
  Dialect,
  Executed,
  LoadedRows,
  Queryable,
  Row,
  SqlValue,
  TransactionOptions,
  Work,
} from './database.ts';
import {
  addCallers,
  answerOf,
  command,
  discard,
  prepared,
  sessionSettings,
  streamOf,
  within,
} from './mysql-connection.ts';
import { positionOfCommit, tellOfCommits } from './mysql-positions.ts';
import { readOrigin } from './mysql-origin.ts';
import { WaitingLine } from './waiting-line.ts';
import { type MysqlServer, reach } from './mysql-reach.ts';
import { connectionIsGone, errorNumber, isDeadlock, translateError } from './mysql-errors.ts';

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
  readonly #line: WaitingLine;

  /** Connects to nothing yet: connections are made when they are needed. */
  constructor(options: MysqlOptions) {
    this.#options = options;
    this.#line = new WaitingLine(options.poolSize, () => performance.now());
    this.#pool = createPool({
      ...reach(options.server),
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

  /** This server alone: see `replicated.ts`. */
  async load(sql: string, params: readonly SqlValue[]): Promise<LoadedRows> {
    return { rows: await this.query(sql, params) };
  }

  async transaction<T>(work: Work<T>, options: TransactionOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#withConnection((connection) => this.#transactOnce(connection, work, options));
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

  async #transactOnce<T>(
    connection: PoolConnection,
    work: Work<T>,
    { opening, committedAt }: TransactionOptions,
  ): Promise<T> {
    const transaction = this.#on(connection);
    let result: T;
    try {
      result = await work(transaction, await this.#begin(connection, opening));
    } catch (error) {
      // A connection that cannot even roll back is thrown away, which rolls back as well.
      await this.#send(connection, 'ROLLBACK').catch(() => discard(connection));
      throw error;
    }
    const position = positionOfCommit(await this.#commit(connection));
    if (position !== undefined) committedAt?.(position);
    return result;
  }

  /** An error that the server sent means that it rolled back; one of the connection means that nobody knows. */
  async #commit(connection: PoolConnection): Promise<unknown> {
    try {
      return await observed('mysql', 'COMMIT', () =>
        within(this.#options.commitTimeoutMs, command(connection, 'COMMIT')),
      );
    } catch (error) {
      if (errorNumber(error) !== undefined && !connectionIsGone(error)) throw translateError(error);
      discard(connection);
      throw new OutcomeUnknown('COMMIT was not answered', { cause: error });
    }
  }

  get origin(): string {
    return this.#origin;
  }

  get connections(): Connections {
    const { used, waiting } = this.#line;
    return { used, idle: Math.max(0, this.#open - used), waiting };
  }

  get expectedWaitMs(): number {
    return this.#line.expectedMs;
  }

  async #withConnection<T>(use: (connection: PoolConnection) => Promise<T>): Promise<T> {
    const connection = await this.#acquireCurrent();
    try {
      return await this.#line.take(() => use(connection));
    } finally {
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
    try {
      return await this.#line.wait(within(this.#options.acquireTimeoutMs, pending));
    } catch (error) {
      pending.then(
        (connection) => connection.release(),
        () => undefined,
      );
      throw translateError(error);
    }
  }

  /** Without the settings times would be wrong, so no connection is used without them. */
  async #settle(connection: PoolConnection): Promise<void> {
    const { connectTimeoutMs, statementTimeoutMs } = this.#options;
    try {
      await within(connectTimeoutMs, command(connection, sessionSettings(statementTimeoutMs)));
      if (this.#options.tracksPositions === true) await this.#trackPositions(connection);
      const origin = this.#options.origin ?? (await within(connectTimeoutMs, readOrigin(connection.promise())));
      this.#origin = origin;
      this.#settled.set(connection, origin);
      this.#options.onConnect?.();
    } catch (error) {
      discard(connection);
      throw new CatalogueError('DATABASE_UNAVAILABLE', { cause: error });
    }
  }

  /** A server that does not tell of positions leaves them unknown, and is as good for all else. */
  async #trackPositions(connection: PoolConnection): Promise<void> {
    try {
      await within(this.#options.connectTimeoutMs, command(connection, tellOfCommits));
    } catch (error) {
      if (errorNumber(error) === undefined) throw error;
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

export interface MysqlOptions {
  readonly server: MysqlServer;
  /** Taken for the origin of all data, whichever server a connection leads to. */
  readonly origin?: string | undefined;
  /** Whether to learn where in the log each commit stands. */
  readonly tracksPositions?: boolean;
  /** Called before a new connection is used. */
  readonly onConnect?: () => void;
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
