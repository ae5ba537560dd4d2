import type { Database } from '../database/database.ts';
import { loadMigrations } from '../database/migrate.ts';
import type { Resource } from '../resources/resource.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

/** The shapes of the tables against those of the migrations: what the service selects and writes must be there. */
export async function examineTables(database: Database, resources: readonly Resource[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { table, sql } of loadMigrations('mysql')) {
    const there = await readTable(database, table);
    const problems = there === undefined ? [missing(table)] : examineTable(table, sql, there, resources);
    if (there !== undefined) problems.push(...(await examineOrder(database, table, resources)));
    findings.push(
      ...(problems.length === 0 ? [ok(idOf(table), `${table} has the columns that are needed`)] : problems),
    );
  }
  return findings;
}

function idOf(table: string): string {
  return `mysql.table.${table}`;
}

interface Table {
  readonly engine: string;
  readonly collation: string;
  readonly columns: ReadonlyMap<string, Column>;
}

interface Column {
  /** `bigint unsigned`, without the width that MariaDB shows. */
  readonly type: string;
  /** Whether an INSERT may leave it out. */
  readonly isOptional: boolean;
}

async function readTable(database: Database, table: string): Promise<Table | undefined> {
  const [found] = await database.query(
    'SELECT engine, table_collation FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?',
    [table],
  );
  if (found === undefined) return undefined;
  const rows = await database.query(
    'SELECT column_name, column_type, is_nullable, column_default, extra FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ?',
    [table],
  );
  const columns = rows.map(([name, type, nullable, standard, extra]): [string, Column] => {
    const fillsItself = /auto_increment|generated/i.test(String(extra ?? ''));
    const isOptional = nullable === 'YES' || (standard !== null && standard !== undefined) || fillsItself;
    return [String(name), { type: plainType(String(type)), isOptional }];
  });
  return { engine: String(found[0]), collation: String(found[1]), columns: new Map(columns) };
}

function missing(table: string): Finding {
  return warn(idOf(table), {
    finding: `the table ${table} is not there, or may not be seen`,
    meaning: 'The service creates it when it starts, if its user may (CREATE, REFERENCES).',
    remedy: 'npx energex-cache migrate',
  });
}

function examineTable(table: string, sql: string, there: Table, resources: readonly Resource[]): Finding[] {
  const id = idOf(table);
  const findings: Finding[] = [];
  const wanted = columnsOf(sql);
  const needed = neededOf(table, resources) ?? [...wanted.keys()];
  for (const name of needed) {
    const definition = wanted.get(name) ?? '';
    const column = there.columns.get(name);
    if (column === undefined) {
      findings.push(
        fail(id, {
          finding: `${table} has no column ${name}`,
          meaning: 'Every statement that names it fails: requests are answered 500.',
          remedy: `ALTER TABLE ${table} ADD COLUMN ${name} ${definition};`,
        }),
      );
    } else if (!isAsGood(column.type, plainType(definition))) {
      findings.push(
        warn(id, {
          finding: `${table}.${name} is ${column.type}, where ${plainType(definition)} is expected`,
          meaning: 'Values that the service lets through may be cut or refused.',
          remedy: `ALTER TABLE ${table} MODIFY ${name} ${definition};`,
        }),
      );
    }
  }
  if (resources.some((resource) => resource.table === table)) findings.push(...examineExtra(table, there, wanted));
  if (there.engine.toLowerCase() !== 'innodb') {
    findings.push(
      fail(id, {
        finding: `${table} is kept by ${there.engine}`,
        meaning: 'It has no transactions: a write that fails half-way stays half-way, and readers see it.',
        remedy: `ALTER TABLE ${table} ENGINE = InnoDB;`,
      }),
    );
  }
  if (!/^utf8mb4|^ascii|^null$/.test(there.collation)) {
    findings.push(
      warn(id, {
        finding: `${table} has the collation ${there.collation}`,
        meaning: 'Characters beyond its character set are refused or lost.',
        remedy: `ALTER TABLE ${table} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;`,
      }),
    );
  }
  return findings;
}

/** Columns that nobody here knows are of no interest, unless an INSERT must give them. */
function examineExtra(table: string, { columns }: Table, wanted: ReadonlyMap<string, string>): Finding[] {
  const blocking = [...columns].filter(([name, { isOptional }]) => !wanted.has(name) && !isOptional);
  return blocking.map(([name, { type }]) =>
    fail(idOf(table), {
      finding: `${table} has a column ${name} that every new row must give`,
      meaning: 'The service does not know it, so rows cannot be created through it.',
      remedy: `ALTER TABLE ${table} MODIFY ${name} ${type} NULL DEFAULT NULL;`,
    }),
  );
}

/** Of a resource's tables those columns that it shows or writes; `undefined` where all are ours. */
function neededOf(table: string, resources: readonly Resource[]): string[] | undefined {
  const names = resources.flatMap(({ table: own, columns, embed }) => [
    ...(own === table ? Object.keys(columns) : []),
    ...(embed?.table === table ? Object.keys(embed.columns) : []),
  ]);
  return names.length === 0 ? undefined : [...new Set(names)];
}

/** Lists are read in this order; without the index each page sorts the whole table. */
async function examineOrder(database: Database, table: string, resources: readonly Resource[]): Promise<Finding[]> {
  if (!resources.some((resource) => resource.table === table)) return [];
  const rows = await database.query(
    'SELECT index_name, column_name FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = ? ORDER BY index_name, seq_in_index',
    [table],
  );
  const indexes = Map.groupBy(rows, ([name]) => String(name));
  const isIndexed = [...indexes.values()].some((columns) => {
    const [first, second] = columns.map(([, column]) => String(column));
    // The primary key ends every secondary index.
    return first === 'created_at' && (second === undefined || second === 'id');
  });
  if (isIndexed) return [];
  return [
    warn(idOf(table), {
      finding: `${table} has no index on (created_at, id)`,
      meaning: 'Every page that is not cached sorts the whole table.',
      remedy: `CREATE INDEX ${table}_created_at_id_index ON ${table} (created_at, id);`,
    }),
  ];
}

/** The columns of a CREATE TABLE of the migrations, which have one a line, with their definitions. */
function columnsOf(sql: string): ReadonlyMap<string, string> {
  const lines = Array.from(sql.matchAll(/^ {2}([a-z_]+) ((?:[A-Z]|[^\n])+?),?$/gm));
  return new Map(lines.map(([, name = '', definition = '']) => [name, definition.replace(/ PRIMARY KEY$/, '')]));
}

/** `bigint unsigned` of `BIGINT UNSIGNED NOT NULL` and of `bigint(20) unsigned`. */
function plainType(text: string): string {
  const lower = text.toLowerCase();
  const [, name = '', width = ''] = /^(\w+)(\(\d+\))?/.exec(lower) ?? [];
  const isSized = /char|binary/.test(name);
  return `${name}${isSized ? width : ''}${/ unsigned/.test(lower) ? ' unsigned' : ''}`;
}

const texts = ['tinytext', 'text', 'mediumtext', 'longtext'];

function isAsGood(actual: string, expected: string): boolean {
  if (actual === expected || (expected === 'timestamp' && actual === 'datetime')) return true;
  const [longEnough, wanted] = [texts.indexOf(actual), texts.indexOf(expected)];
  if (wanted >= 0) return longEnough >= wanted;
  const [actualWidth, expectedWidth] = [actual, expected].map((type) =>
    Number(/^varchar\((\d+)\)$/.exec(type)?.[1] ?? 0),
  );
  return expectedWidth !== undefined && expectedWidth > 0 && (longEnough > 0 || (actualWidth ?? 0) >= expectedWidth);
}
