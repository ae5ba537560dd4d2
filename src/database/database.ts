import type { Position, Since } from '../cache/store.ts';

/**
 * The port to the database, which holds the truth. `mysql.ts` and `sqlite.ts` implement it;
 * `test/contracts/database.ts` says what both must hold.
 *
 * What can go wrong, wherever a statement runs:
 * - `CatalogueError` `DATABASE_UNAVAILABLE` or `DATABASE_BUSY`: the same call may succeed later. A transaction has changed
 *   nothing; an `execute` outside one may have, when the answer was lost, so it must be one that can be repeated;
 * - `ConstraintViolation`: the statement was refused, the transaction goes on;
 * - `OutcomeUnknown` (of `cache/write-fence.ts`), from `transaction` alone: COMMIT was sent and not answered.
 */
export interface Database extends Queryable {
  readonly dialect: Dialect;

  /**
   * Which server the data comes from: another one after a failover or a restore, whose data may be behind. `''` until the
   * first connection was made.
   */
  readonly origin: string;

  /** `undefined` where there are none. */
  readonly connections?: Connections;

  /**
   * How long a request would have to wait for a connection now, as far as can be told, in milliseconds; `undefined` where nobody
   * waits for one.
   */
  readonly expectedWaitMs?: number;

  /**
   * Runs `work` between BEGIN and COMMIT, on one connection. Rolls back when it rejects. A deadlock is tried again a few
   * times from the start, so `work` must be repeatable.
   *
   * `work` gets the rows of `opening`.
   */
  transaction<T>(work: Work<T>, options?: TransactionOptions): Promise<T>;

  /**
   * The rows of a query that loads a value for the cache. With `since` a replica may answer that shows all that `since` asks
   * for.
   */
  load(sql: string, params: readonly SqlValue[], since?: Since): Promise<LoadedRows>;

  /** Resolves when the database answers. */
  ping(): Promise<void>;

  close(): Promise<void>;
}

/** How many are used or idle, and how many requests wait for one. */
export interface Connections {
  readonly used: number;
  readonly idle: number;
  readonly waiting: number;
}

export type Work<T> = (transaction: Queryable, opened: readonly Row[]) => Promise<T>;

export interface TransactionOptions {
  /** A constant SELECT that comes first, in one round trip with BEGIN where that can be. */
  readonly opening?: string;
  /** Hears where in the log the commit stands, where that can be learned. */
  readonly committedAt?: (position: Position) => void;
}

export interface LoadedRows {
  readonly rows: readonly Row[];
  /** Where the log stood meanwhile, when `since` did not know; not everywhere can that be learned. */
  readonly position?: Position | undefined;
}

export interface Queryable {
  /** The rows, each an array in the order of the selected columns. Times are `YYYY-MM-DD hh:mm:ss` in UTC. */
  query(sql: string, params?: readonly SqlValue[]): Promise<Row[]>;
  execute(sql: string, params?: readonly SqlValue[]): Promise<Executed>;
}

/** Integers beyond 2^53 are strings of digits or bigints, never rounded. */
export type SqlValue = string | number | bigint | null;
export type Row = readonly SqlValue[];

export interface Executed {
  readonly affectedRows: number;
  /** Decimal digits; of the first row when several were inserted. */
  readonly insertId: string;
}

/** Where the SQL of the two databases differs. */
export interface Dialect {
  readonly name: 'mysql' | 'sqlite';
  /** A placeholder for decimal digits that are compared and stored as an exact 64-bit integer. */
  readonly integer: string;
  /** Ends a SELECT that locks the rows it reads. */
  readonly forUpdate: string;
  /** Ends a SELECT that locks the rows it reads against `forUpdate`, and not against others like itself. */
  readonly forShare: string;
}

export class ConstraintViolation extends Error {
  override readonly name = 'ConstraintViolation';
  readonly kind: 'foreign-key' | 'duplicate';

  constructor(kind: 'foreign-key' | 'duplicate', cause: unknown) {
    super(`${kind} constraint violated`, { cause });
    this.kind = kind;
  }
}
