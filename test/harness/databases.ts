import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, createConnection } from 'mysql2/promise';
import type { Database } from '../../src/database/database.ts';
import { MysqlDatabase, type MysqlOptions } from '../../src/database/mysql.ts';
import { SqliteDatabase } from '../../src/database/sqlite.ts';
import { createSchema, type DatabaseSchema } from './database-schema.ts';
import type { DatabaseServerAddress } from './database-server.ts';
import { sharedDatabases } from './shared-servers.ts';

/** A database of a test's own, empty. */
export interface OwnDatabase {
  readonly database: Database;
  /** Where it is, when it is on a server. */
  readonly schema?: DatabaseSchema;
  /** Closes the database and removes its data. */
  remove(): Promise<void>;
}

/** For `describe.each`: every implementation of the port. */
export const databases: readonly { readonly name: string; open(): Promise<OwnDatabase> }[] = [
  { name: 'SQLite in memory', open: async () => ownSqlite(':memory:') },
  { name: 'SQLite in a file', open: openSqliteFile },
  ...sharedDatabases().map((server) => ({ name: nameOf(server), open: () => openOn(server) })),
];

export function nameOf({ flavour, version }: DatabaseServerAddress): string {
  return `${flavour} ${version}`;
}

async function openSqliteFile(): Promise<OwnDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-sqlite-'));
  const { database } = ownSqlite(join(folder, 'data.sqlite'));
  const remove = async (): Promise<void> => {
    await database.close();
    await rm(folder, { recursive: true });
  };
  return { database, remove };
}

function ownSqlite(location: string): OwnDatabase {
  const database = new SqliteDatabase({ location, queueLimit: 100 });
  return { database, remove: () => database.close() };
}

export async function openOn(server: DatabaseServerAddress, options: Partial<MysqlOptions> = {}): Promise<OwnDatabase> {
  const schema = await createSchema(server);
  const database = openMysql(schema, options);
  const remove = async (): Promise<void> => {
    await database.close();
    await schema.drop();
  };
  return { database, schema, remove };
}

/** Short deadlines, so that a test of one ends soon; long enough for a busy machine. */
const defaults: Omit<MysqlOptions, 'server'> = {
  poolSize: 4,
  queueLimit: 100,
  connectTimeoutMs: 5_000,
  acquireTimeoutMs: 10_000,
  statementTimeoutMs: 10_000,
  commitTimeoutMs: 10_000,
};

/** `through` is the address of a proxy in front of the server. */
export function openMysql(
  schema: DatabaseSchema,
  options: Partial<MysqlOptions> = {},
  through: { readonly host: string; readonly port: number } = schema,
): MysqlDatabase {
  const server = {
    host: through.host,
    port: through.port,
    user: schema.username,
    password: schema.password,
    database: schema.name,
  };
  return new MysqlDatabase({ server, ...defaults, ...options });
}

/** A client beside the service: somebody who holds locks, kills connections and looks at what is there. */
export async function dial(schema: DatabaseSchema): Promise<Connection> {
  const { host, port, username: user, password, name: database } = schema;
  const connection = await createConnection({
    host,
    port,
    user,
    password,
    database,
    connectTimeout: 5_000,
    rowsAsArray: true,
    dateStrings: true,
    supportBigNumbers: true,
  });
  connection.on('error', () => undefined);
  return connection;
}
