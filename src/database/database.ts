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

  /**
   * Runs `work` between BEGIN and COMMIT, on one connection. Rolls back when it rejects. A deadlock is tried again a few
   * times from the start, so `work` must be repeatable.
   *
   * `opening` is a constant SELECT that comes first, in one round trip with BEGIN where that can be; `work` gets its rows.
   */
  transaction<T>(work: (transaction: Queryable, opened: readonly Row[]) => Promise<T>, opening?: string): Promise<T>;

  /** Resolves when the database answers. */
  ping(): Promise<void>;

  close(): Promise<void>;
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
