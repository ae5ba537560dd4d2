import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import type { Database } from '../../src/database/database.ts';
import { MysqlDatabase, type MysqlOptions } from '../../src/database/mysql.ts';
import { SqliteDatabase } from '../../src/database/sqlite.ts';
import { createSchema, type DatabaseSchema } from './database-schema.ts';
import type { DatabaseServerAddress } from './database-server.ts';
import { eventually } from './eventually.ts';
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

export async function openOn(
  server: DatabaseServerAddress,
  options: Partial<MysqlOptions> = {},
): Promise<OwnDatabase & { readonly schema: DatabaseSchema }> {
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

/** Resolves once a connection to the schema of `watcher` waits for a lock. */
export async function lockIsAwaited(watcher: Connection): Promise<void> {
  const sql =
    "SELECT 1 FROM information_schema.innodb_trx JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE db = DATABASE() AND trx_state = 'LOCK WAIT'";
  await eventually(async () => {
    const [rows] = await watcher.query<RowDataPacket[][]>(sql);
    // The table is a copy, which is not renewed for as long as somebody has read it within the last 100 ms.
    if (rows.length === 0) await delay(trxCopyMs);
    return rows.length > 0;
  });
}

const trxCopyMs = 120;

/** What the migrations of the PHP backend make, and nothing else: no index on `posts` but those of its keys. */
export const lumenTables = [
  `CREATE TABLE users (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(255) NOT NULL, email VARCHAR(255) NOT NULL,
    password VARCHAR(255) NOT NULL, role VARCHAR(255) NOT NULL DEFAULT 'user', created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL, PRIMARY KEY (id), UNIQUE KEY users_email_unique (email)
  ) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
  `CREATE TABLE posts (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, title VARCHAR(255) NOT NULL, content TEXT NOT NULL,
    user_id BIGINT UNSIGNED NOT NULL, created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL, PRIMARY KEY (id),
    KEY posts_user_id_foreign (user_id),
    CONSTRAINT posts_user_id_foreign FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
  ) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`,
];
