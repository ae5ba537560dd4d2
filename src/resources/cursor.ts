import type { Row, SqlValue } from '../database/database.ts';
import { CatalogueError } from '../errors.ts';
import { isIdentifier } from './identifier.ts';
import type { PageStart } from './statements.ts';

/** Rows of a page. */
export const standardLimit = 20;
export const greatestLimit = 100;

/**
 * The cursor of keyset pagination: the position of the last row of a page, `created_at` and `id`, in base64url. Opaque
 * to clients. It is no secret and no right: a forged one that is well-formed is just another position in the list.
 */
export interface Cursor {
  /** `YYYY-MM-DD hh:mm:ss`, `null` where the row has no time. */
  readonly createdAt: string | null;
  readonly id: string;
}

export function encodeCursor({ createdAt, id }: Cursor): string {
  return Buffer.from(`${createdAt ?? ''},${id}`).toString('base64url');
}

/** Throws `CatalogueError` `INVALID_PARAMETER` for anything that `encodeCursor` would not have written. */
export function decodeCursor(text: string): Cursor {
  const [createdAt = '', id = '', ...rest] = Buffer.from(text, 'base64url').toString().split(',');
  const cursor = { createdAt: createdAt === '' ? null : createdAt, id };
  const isValid = rest.length === 0 && isIdentifier(id) && (createdAt === '' || isTime(createdAt));
  if (!isValid || encodeCursor(cursor) !== text) {
    throw new CatalogueError('INVALID_PARAMETER', { params: { reason: '`after` is not a cursor of this list' } });
  }
  return cursor;
}

/** The cursor that follows `row`, whose columns are named by `columns`. */
export function cursorAfter(row: Row, columns: readonly string[]): Cursor {
  const createdAt = row[columns.indexOf('created_at')] ?? null;
  return { createdAt: createdAt === null ? null : String(createdAt), id: String(row[columns.indexOf('id')]) };
}

export function pageStart(cursor: Cursor | undefined): { start: PageStart; params: readonly SqlValue[] } {
  if (cursor === undefined) return { start: 'first', params: [] };
  const { createdAt, id } = cursor;
  if (createdAt === null) return { start: 'after-null', params: [id] };
  return { start: 'after-time', params: [createdAt, createdAt, id] };
}

/** A real instant in the range of TIMESTAMP, as MySQL writes it; strict servers refuse to compare with anything else. */
function isTime(text: string): boolean {
  const match = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d{1,6})?$/.exec(text);
  if (match === null) return false;
  const iso = `${match[1]}T${match[2]}`;
  const time = Date.parse(`${iso}Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(iso);
}
