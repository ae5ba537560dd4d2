import { createConnection, type RowDataPacket } from 'mysql2/promise';
import type { DatabaseSchema } from './database-schema.ts';

/** A logical backup: what `mysqldump` writes of each table, the statement that makes it and its rows. */
export type Backup = {
  /** Makes the tables anew and fills them, as feeding a dump to the server does. */
  restore(): Promise<void>;
};

/** `taken` may change what is in the copy, whose name it gets: a backup of another time, say. */
export async function backUp(
  schema: DatabaseSchema,
  copy: DatabaseSchema,
  taken: (run: (sql: string) => Promise<unknown>, copy: string) => Promise<unknown> = async () => undefined,
): Promise<Backup> {
  const made = await onServer(schema, async (query) => {
    const names = (await query('SHOW TABLES')).map((row) => String(Object.values(row)[0]));
    const statements: [name: string, statement: string][] = [];
    for (const name of names) {
      const [row = {}] = await query(`SHOW CREATE TABLE ${name}`);
      statements.push([name, String(Object.values(row)[1])]);
      await query(`CREATE TABLE \`${copy.name}\`.${name} LIKE ${name}`);
      await query(`INSERT INTO \`${copy.name}\`.${name} SELECT * FROM ${name}`);
    }
    await taken(query, copy.name);
    return statements;
  });
  const restore = async (): Promise<void> => {
    await onServer(schema, async (query) => {
      await query('SET FOREIGN_KEY_CHECKS = 0');
      for (const [name, statement] of made) {
        await query(`DROP TABLE IF EXISTS ${name}`);
        await query(statement);
        await query(`INSERT INTO ${name} SELECT * FROM \`${copy.name}\`.${name}`);
      }
    });
  };
  return { restore };
}

async function onServer<T>(
  { host, port, username: user, password, name: database }: DatabaseSchema,
  use: (query: (sql: string) => Promise<RowDataPacket[]>) => Promise<T>,
): Promise<T> {
  const connection = await createConnection({ host, port, user, password, database, connectTimeout: 5_000 });
  try {
    return await use(async (sql) => (await connection.query<RowDataPacket[]>(sql))[0]);
  } finally {
    await connection.end();
  }
}
