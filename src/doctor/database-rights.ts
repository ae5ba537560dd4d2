import type { Database } from '../database/database.ts';
import { errorNumber } from '../database/mysql-errors.ts';
import { loadMigrations } from '../database/migrate.ts';
import { CatalogueError } from '../errors.ts';
import type { Resource } from '../resources/resource.ts';
import { fail, type Finding, ok } from './finding.ts';

/**
 * Whether the user may do with each table what the service does. EXPLAIN needs the rights of the statement that it explains
 * and runs nothing, so this asks the server itself, whatever roles and patterns its grants are made of.
 */
export async function examineRights(
  database: Database,
  {
    resources,
    account,
    schema,
  }: { readonly resources: readonly Resource[]; readonly account: string; readonly schema: string },
): Promise<Finding[]> {
  const lacking = new Map<string, string[]>();
  for (const { table } of loadMigrations('mysql')) {
    const isOnlyRead = resources.some(({ embed, table: own }) => embed?.table === table && own !== table);
    const column = await anyColumn(database, table);
    // What is not there was told with the tables.
    if (column === undefined) continue;
    for (const [right, statement] of Object.entries(statementsOn(table, column))) {
      if (isOnlyRead && right !== 'SELECT') continue;
      if (await isDenied(database, statement)) lacking.set(right, [...(lacking.get(right) ?? []), table]);
    }
  }
  if (lacking.size === 0) return [ok('mysql.grants', `${account} may read and write the tables`)];
  const tables = [...new Set([...lacking.values()].flat())];
  return [
    fail('mysql.grants', {
      finding: `${account} may not ${[...lacking].map(([right, where]) => `${right} ${where.join(', ')}`).join('; ')}`,
      meaning: 'Requests that need it are answered 503.',
      remedy: tables
        .map((table) => {
          const rights = [...lacking].flatMap(([right, where]) => (where.includes(table) ? [right] : []));
          return `GRANT ${rights.join(', ')} ON \`${schema}\`.\`${table}\` TO ${quoted(account)};`;
        })
        .join(' '),
    }),
  ];
}

function statementsOn(table: string, column: string): Readonly<Record<string, string>> {
  return {
    SELECT: `EXPLAIN SELECT ${column} FROM ${table} LIMIT 1`,
    INSERT: `EXPLAIN INSERT INTO ${table} (${column}) VALUES (DEFAULT)`,
    UPDATE: `EXPLAIN UPDATE ${table} SET ${column} = DEFAULT`,
    DELETE: `EXPLAIN DELETE FROM ${table}`,
  };
}

async function anyColumn(database: Database, table: string): Promise<string | undefined> {
  const [row] = await database.query(
    'SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? ORDER BY ordinal_position LIMIT 1',
    [table],
  );
  return row === undefined ? undefined : `\`${String(row[0])}\``;
}

/** Command denied for a table, access denied for a column. */
const denied = new Set([1142, 1143]);

async function isDenied(database: Database, statement: string): Promise<boolean> {
  try {
    await database.query(statement);
    return false;
  } catch (error) {
    const cause = error instanceof CatalogueError ? error.cause : error;
    return denied.has(errorNumber(cause) ?? 0);
  }
}

function quoted(account: string): string {
  const at = account.lastIndexOf('@');
  return `'${account.slice(0, at)}'@'${account.slice(at + 1)}'`;
}
