import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { CatalogueError } from '../errors.ts';
import { observed } from './channels.ts';
import {
  ConstraintViolation,
  type Database,
  type Dialect,
  type Executed,
  type LoadedRows,
  type Queryable,
  type Row,
  type SqlValue,
  type TransactionOptions,
  type Work,
} from './database.ts';

/**
 * The embedded database: SQLite inside this process, in memory or in a file. There is one connection, so a transaction
 * has it alone, and whoever comes meanwhile waits in a bounded queue.
 */
export class SqliteDatabase implements Database {
  /** NUMERIC is exact to 2^63 as INTEGER is, but does not bend digits beyond that down to the greatest integer. */
  readonly dialect: Dialect = { name: 'sqlite', integer: 'CAST(? AS NUMERIC)', forUpdate: '', forShare: '' };
  readonly origin = 'sqlite';
  readonly #connection: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #queueLimit: number;
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  /** `location` is a file path or `:memory:`. */
  constructor(options: { location: string; queueLimit: number }) {
    this.#queueLimit = options.queueLimit;
    this.#connection = new DatabaseSync(options.location, { enableForeignKeyConstraints: true, timeout: 1_000 });
    if (options.location !== ':memory:') this.#connection.exec('PRAGMA journal_mode = WAL');
  }

  query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#alone(() => observed('sqlite', sql, async () => this.#query(sql, params)));
  }

  execute(sql: string, params: readonly SqlValue[] = []): Promise<Executed> {
    return this.#alone(() => observed('sqlite', sql, async () => this.#execute(sql, params)));
  }

  /** There is one database, so it shows everything. */
  async load(sql: string, params: readonly SqlValue[]): Promise<LoadedRows> {
    return { rows: await this.query(sql, params) };
  }

  transaction<T>(work: Work<T>, { opening }: TransactionOptions = {}): Promise<T> {
    return this.#alone(async () => {
      translating(() => this.#connection.exec('BEGIN IMMEDIATE'));
      try {
        const opened = opening === undefined ? [] : this.#query(opening, []);
        const transaction: Queryable = {
          query: (sql, params = []) => observed('sqlite', sql, async () => this.#query(sql, params)),
          execute: (sql, params = []) => observed('sqlite', sql, async () => this.#execute(sql, params)),
        };
        const result = await work(transaction, opened);
        translating(() => this.#connection.exec('COMMIT'));
        return result;
      } catch (error) {
        if (this.#connection.isTransaction) this.#connection.exec('ROLLBACK');
        throw error;
      }
    });
  }

  async ping(): Promise<void> {
    await this.query('SELECT 1');
  }

  /** Lets what waits in the queue end first. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    if (this.#connection.isOpen) this.#connection.close();
  }

  /** Runs `use` when all that came before has ended. */
  async #alone<T>(use: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new CatalogueError('DATABASE_UNAVAILABLE', { cause: new Error('the database was closed') });
    if (this.#waiting >= this.#queueLimit)
      throw new CatalogueError('DATABASE_BUSY', { cause: new Error('the queue is full') });
    this.#waiting += 1;
    const turn = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await turn;
    try {
      return await use();
    } finally {
      this.#waiting -= 1;
      resolve();
    }
  }

  #query(sql: string, params: readonly SqlValue[]): Row[] {
    const rows: unknown = translating(() => this.#prepare(sql).all(...params));
    // `setReturnArrays` makes each row an array; no column of these tables is a blob.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return rows as Row[];
  }

  #execute(sql: string, params: readonly SqlValue[]): Executed {
    const { changes, lastInsertRowid } = translating(() => this.#prepare(sql).run(...params));
    return { affectedRows: Number(changes), insertId: String(lastInsertRowid) };
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    // Page sizes make variants of a statement, so their number has a bound.
    if (this.#statements.size >= mostStatements) this.#statements.clear();
    const statement = this.#connection.prepare(sql);
    statement.setReturnArrays(true);
    statement.setReadBigInts(true);
    this.#statements.set(sql, statement);
    return statement;
  }
}

const mostStatements = 500;

/** SQLite's extended result codes: https://www.sqlite.org/rescode.html */
const foreignKeyCode = 787;
const uniqueCodes = new Set([1555, 2067]);
/** The low byte of an extended code is the primary one: SQLITE_BUSY, whatever the reason. */
const busyCode = 5;

function translating<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'errcode' in error ? error.errcode : undefined;
    if (typeof code !== 'number') throw error;
    if (code === foreignKeyCode) throw new ConstraintViolation('foreign-key', error);
    if (uniqueCodes.has(code)) throw new ConstraintViolation('duplicate', error);
    if ((code & 0xff) === busyCode) throw new CatalogueError('DATABASE_BUSY', { cause: error });
    throw error;
  }
}
