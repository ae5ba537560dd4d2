import type { Dialect } from '../database/database.ts';
import { type Definition, writableColumns } from './resource.ts';

/**
 * The SQL of a resource. Names come from the definition, where they were checked; values only ever through placeholders.
 */
export interface Statements {
  /** Params: id. */
  readonly selectItem: string;
  /** Params: `count` ids. The rows in any order. */
  selectItems(count: number): string;
  /** Params: id. Locks the row, and nothing of the one that is embedded; otherwise like `selectItem`. */
  readonly selectForUpdate: string;
  readonly selectAll: string;
  /** Params: those of `where`. `limit` is a number that was checked. */
  selectPage(limit: number, where: PageStart): string;
  /** Params: the writable columns, in the order of `writableColumns(..., 'create')`. */
  readonly insert: string;
  /** Params: the given columns, then the id. */
  update(columns: readonly string[]): string;
  /** Params: id. */
  readonly remove: string;
}

/**
 * Where a page begins: at the first row, behind a row with a time (params: time, time, id), or behind one whose time is
 * null (params: id). NULL sorts last in a descending order, on MySQL as on SQLite.
 */
export type PageStart = 'first' | 'after-time' | 'after-null';

const order = 'ORDER BY t.created_at DESC, t.id DESC';

export function buildStatements(definition: Definition, dialect: Dialect): Statements {
  const { table, columns } = definition;
  return {
    selectItem: `${selectFrom(definition, table)} WHERE t.id = ${dialect.integer}`,
    selectItems: (count) => {
      const ids = Array.from({ length: count }, () => dialect.integer).join(', ');
      return `${selectFrom(definition, table)} WHERE t.id IN (${ids})`;
    },
    selectForUpdate: `${selectLocking(definition)} WHERE t.id = ${dialect.integer}${dialect.forUpdate}`,
    selectAll: `${selectFrom(definition, table)} ${order}`,
    selectPage: (limit, start) => {
      // The rows are cut to a page before anything is joined to them: joined first, MariaDB was seen to read the other
      // table first and to sort all of both in a temporary table.
      const page = `SELECT t.* FROM ${table} t ${pageCondition(start, dialect)} ${order} LIMIT ${limit}`;
      return `${selectFrom(definition, `(${page})`)} ${order}`;
    },
    insert: insertStatement(definition, dialect),
    update: (given) => {
      const stamped = Object.keys(columns).filter((name) => columns[name]?.stamp === 'always');
      const sets = given.map((name) => `${name} = ${placeholder(definition, name, dialect)}`);
      sets.push(...stamped.map((name) => `${name} = CURRENT_TIMESTAMP`));
      return `UPDATE ${table} SET ${sets.join(', ')} WHERE id = ${dialect.integer}`;
    },
    remove: `DELETE FROM ${table} WHERE id = ${dialect.integer}`,
  };
}

/** A left join keeps the optimizer from starting with the embedded table, on every server. */
function selectFrom({ columns, embed }: Definition, source: string): string {
  const selected = Object.keys(columns).map((name) => `t.${name}`);
  if (embed === undefined) return `SELECT ${selected.join(', ')} FROM ${source} t`;
  selected.push(...Object.keys(embed.columns).map((name) => `e.${name}`));
  return `SELECT ${selected.join(', ')} FROM ${source} t LEFT JOIN ${embed.table} e ON e.id = t.${embed.through}`;
}

/**
 * A join would lock the embedded row as well, and with it all writes of rows that show the same one. What a nested query
 * reads is not locked (MySQL manual, "Locking Reads").
 */
function selectLocking({ table, columns, embed }: Definition): string {
  const selected = Object.keys(columns).map((name) => `t.${name}`);
  if (embed !== undefined) {
    const shown = Object.keys(embed.columns);
    selected.push(...shown.map((name) => `(SELECT e.${name} FROM ${embed.table} e WHERE e.id = t.${embed.through})`));
  }
  return `SELECT ${selected.join(', ')} FROM ${table} t`;
}

function pageCondition(start: PageStart, { integer }: Dialect): string {
  switch (start) {
    case 'first':
      return '';
    case 'after-time':
      return `WHERE t.created_at < ? OR (t.created_at = ? AND t.id < ${integer}) OR t.created_at IS NULL`;
    case 'after-null':
      return `WHERE t.created_at IS NULL AND t.id < ${integer}`;
  }
}

function insertStatement(definition: Definition, dialect: Dialect): string {
  const given = writableColumns(definition.columns, 'create');
  const stamped = Object.entries(definition.columns).filter(([, { stamp }]) => stamp !== 'never');
  const names = [...given, ...stamped.map(([name]) => name)];
  const values = [
    ...given.map((name) => placeholder(definition, name, dialect)),
    ...stamped.map(() => 'CURRENT_TIMESTAMP'),
  ];
  return `INSERT INTO ${definition.table} (${names.join(', ')}) VALUES (${values.join(', ')})`;
}

function placeholder({ columns }: Definition, name: string, dialect: Dialect): string {
  return columns[name]?.integer === true ? dialect.integer : '?';
}
