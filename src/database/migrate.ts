import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Database } from './database.ts';

const folder = join(import.meta.dirname, '..', '..', 'migrations');

/**
 * Creates the tables that are missing and touches none that is there, whoever made it. Each file
 * `NNNN-<table>.sql` holds the one statement that creates that table. Returns the names of the tables it created.
 */
export async function migrate(database: Database): Promise<string[]> {
  const created: string[] = [];
  for (const { table, sql } of loadMigrations(database.dialect.name)) {
    if (await tableExists(database, table)) continue;
    await database.execute(sql);
    created.push(table);
  }
  return created;
}

export function loadMigrations(dialect: 'mysql' | 'sqlite'): { table: string; sql: string }[] {
  const files = readdirSync(join(folder, dialect)).filter((file) => file.endsWith('.sql'));
  return files.toSorted().map((file) => ({
    table: file.replace(/^\d+-|\.sql$/g, '').replaceAll('-', '_'),
    sql: readFileSync(join(folder, dialect, file), 'utf8'),
  }));
}

async function tableExists(database: Database, table: string): Promise<boolean> {
  const sql =
    database.dialect.name === 'mysql'
      ? 'SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?'
      : "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?";
  const rows = await database.query(sql, [table]);
  return rows.length > 0;
}
