import type { Position as LogPosition } from '../cache/store.ts';
import type { SqlValue } from '../database/database.ts';

/**
 * The port to whatever tells of committed changes. `binlog.ts` and `triggers.ts` implement it;
 * `test/contracts/change-source.ts` says what both must hold.
 */
export interface ChangeSource {
  /** Where the source ends now, asked for on a connection of its own. Rejects when the server does not answer in time. */
  end(): Promise<Position>;

  /**
   * Follows the changes of `tables` behind `from`. Rejects, now or with the first `next`, with `PositionLost` when not all of them can be
   * told of any more.
   */
  open(from: Position, tables: readonly string[]): Promise<ChangeStream>;

  close(): Promise<void>;
}

export interface ChangeStream {
  /**
   * The next changes, at least one and at most `limit`, in the order of their commits; waits until there are some. Nothing
   * more is read while much is waiting to be taken. Rejects when the stream has ended, and it always ends with an error.
   */
  next(limit: number): Promise<readonly Change[]>;

  /** Up to where the reader has read, taken or not. */
  readonly reached: Position;

  /** Everything up to the boundary has taken effect: the source need not keep it for this follower. */
  done(boundary: Position): Promise<void>;

  /** Ends the stream; a `next` that waits rejects. */
  close(): Promise<void>;
}

export type Change = RowChange | TableChange | Boundary;

export interface RowChange {
  readonly type: 'row';
  readonly table: string;
  /** `null` for an insert. */
  readonly before: Image | null;
  /** `null` for a delete. */
  readonly after: Image | null;
  /** Later places in the same log compare greater, as strings; a change that is told of again has the same. */
  readonly place: string;
  /** Where its commit stands, for those who ask replicas; `undefined` where transactions have no global ids. */
  readonly committed?: LogPosition | undefined;
}

/** Rows of the table have changed that cannot be named: TRUNCATE, DDL, a statement, a row image that is not whole. */
export interface TableChange {
  readonly type: 'table';
  readonly table: string;
  readonly reason: string;
}

/** A transaction has ended: whoever starts anew may start here. */
export interface Boundary {
  readonly type: 'boundary';
  readonly position: Position;
}

/** Columns by name, with values as a SELECT gives them. */
export type Image = Readonly<Record<string, SqlValue>>;

export interface Position {
  /** Whose log it is: places of different logs cannot be compared. */
  readonly log: string;
  readonly file: string;
  readonly offset: number;
  /** What has been committed up to here, where transactions have global ids: those hold on other servers too. */
  readonly gtids?: string;
}

/** Changes were lost: they are not kept any more, or cannot be read. */
export class PositionLost extends Error {
  override readonly name = 'PositionLost';
}

/** The position as text of fixed width: later ones of the same log compare greater. */
export function placeOf({ file, offset }: Pick<Position, 'file' | 'offset'>): string {
  const number = /\d+$/.exec(file)?.[0] ?? '';
  return `${number.padStart(10, '0')}.${String(offset).padStart(20, '0')}`;
}
