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
  /** In no order. */
  readonly selectAll: string;
  /** The least and the greatest id; nulls where there is no row. */
  readonly selectRange: string;
  /** The rows of `stretches` stretches of ids, in no order. Params: the first and the last id of each. */
  selectRows(stretches: number): string;
  /** The same rows behind the least and the greatest id of all: one row at least, with nulls where there is none. */
  selectRangeAndRows(stretches: number): string;
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
    selectAll: selectFrom(definition, table),
    selectRange: `SELECT MIN(id), MAX(id) FROM ${table}`,
    selectRows: (stretches) => `${selectFrom(definition, table)} WHERE ${inStretches(stretches, dialect)}`,
    selectRangeAndRows: (stretches) => {
      const { selected, join } = partsOf(definition);
      const own = `${table} t ON ${inStretches(stretches, dialect)}`;
      return `SELECT ${['r.first_id', 'r.last_id', ...selected].join(', ')} FROM (SELECT MIN(id) AS first_id, MAX(id) AS last_id FROM ${table}) r LEFT JOIN ${own}${join}`;
    },
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
function selectFrom(definition: Definition, source: string): string {
  const { selected, join } = partsOf(definition);
  return `SELECT ${selected.join(', ')} FROM ${source} t${join}`;
}

function partsOf({ columns, embed }: Definition): { selected: readonly string[]; join: string } {
  const selected = Object.keys(columns).map((name) => `t.${name}`);
  if (embed === undefined) return { selected, join: '' };
  selected.push(...Object.keys(embed.columns).map((name) => `e.${name}`));
  return { selected, join: ` LEFT JOIN ${embed.table} e ON e.id = t.${embed.through}` };
}

/** None of no stretches: `1 = 0`, which no server minds. */
function inStretches(stretches: number, { integer }: Dialect): string {
  const each = `t.id BETWEEN ${integer} AND ${integer}`;
  return stretches === 0 ? '1 = 0' : Array.from({ length: stretches }, () => each).join(' OR ');
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
