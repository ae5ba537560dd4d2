import { type TSchema, Type } from 'typebox';
import type { SqlValue } from '../database/database.ts';

/**
 * The kinds of columns that a resource can have. A kind says how a value is checked when a client sends it, and how it
 * is written as JSON when it comes out of the database.
 */
export interface Column {
  /** Who gives the value: the client when it creates the row, the client at any time, or nobody but the database. */
  readonly writable: 'never' | 'on-create' | 'always';
  /** What a client may send, as JSON Schema; the keywords beyond the standard are defined in `http/validation.ts`. */
  readonly schema: TSchema;
  /** The column is compared and stored as a 64-bit integer. */
  readonly integer: boolean;
  /** The value must be the id of a row of another table. */
  readonly isReference: boolean;
  /** Set by the service with the database's clock. */
  readonly stamp: 'never' | 'on-create' | 'always';
  /** What it is in an answer or an event, as JSON Schema. */
  readonly json: TSchema;
  /** A value as it stands in an answer, for the documentation. */
  readonly example: unknown;
  /** The value as JSON text. */
  readonly toJson: (value: SqlValue) => string;
}

/** The primary key: BIGINT UNSIGNED auto-increment. JSON: a number of all its digits, also beyond 2^53. */
export function identifier(): Column {
  return {
    writable: 'never',
    schema: Type.Integer({ minimum: 1 }),
    integer: true,
    isReference: false,
    stamp: 'never',
    json: Type.Integer({ minimum: 1 }),
    example: 1,
    toJson: digits,
  };
}

/**
 * Text, not blank. `maxCharacters` counts code points, as VARCHAR does; `maxBytes` counts UTF-8, as TEXT does.
 */
export function text(limits: { maxCharacters?: number; maxBytes?: number }): Column {
  return {
    writable: 'always',
    schema: Type.String({
      notBlank: true,
      wellFormed: true,
      ...(limits.maxCharacters === undefined ? {} : { maxLength: limits.maxCharacters }),
      ...(limits.maxBytes === undefined ? {} : { maxBytes: limits.maxBytes }),
    }),
    integer: false,
    isReference: false,
    stamp: 'never',
    json: Type.String(),
    example: 'Text',
    toJson: quoted,
  };
}

/** The id of a row of another table, given once, when the row is created. */
export function reference(): Column {
  // Digits in a string are taken too: a JSON number beyond 2^53 has lost its last digits before anyone can look.
  const schema = Type.Unsafe({ type: ['integer', 'string'], identifier: true });
  return {
    writable: 'on-create',
    schema,
    integer: true,
    isReference: true,
    stamp: 'never',
    json: Type.Integer({ minimum: 1 }),
    example: 1,
    toJson: digits,
  };
}

/** Set when the row is created. TIMESTAMP in UTC. */
export function createdAt(): Column {
  return {
    writable: 'never',
    schema: Type.String(),
    integer: false,
    isReference: false,
    stamp: 'on-create',
    json: Type.Unsafe<string | null>({ type: ['string', 'null'], pattern: instantPattern }),
    example: '2025-01-01T00:00:00Z',
    toJson: instant,
  };
}

/** Set whenever the row changes. TIMESTAMP in UTC. */
export function updatedAt(): Column {
  return { ...createdAt(), stamp: 'always' };
}

/** RFC 3339, in UTC, to the second. */
const instantPattern = '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$';

function digits(value: SqlValue): string {
  return value === null ? 'null' : String(value);
}

function quoted(value: SqlValue): string {
  return value === null ? 'null' : JSON.stringify(String(value));
}

/** `2025-01-01 00:00:00` as `"2025-01-01T00:00:00Z"`. MySQL's zero date is no instant. */
function instant(value: SqlValue): string {
  const time = String(value);
  return value === null || time.startsWith('0000') ? 'null' : `"${time.replace(' ', 'T')}Z"`;
}
