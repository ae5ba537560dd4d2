import { randomBytes } from 'node:crypto';
import { createConnection } from 'mysql2/promise';
import type { DatabaseServerAddress } from './database-server.ts';

export type DatabaseSchema = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** Drops the database. Idempotent. */
  drop(): Promise<void>;
};

const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Creates an empty utf8mb4 database. Workers share a server, so its name is `stem` with something unique behind it.
 */
export async function createSchema(server: DatabaseServerAddress, stem = 'test'): Promise<DatabaseSchema> {
  const name = `${stem}_${process.pid}_${randomBytes(6).toString('hex')}`;
  if (!/^\w{1,64}$/.test(name)) throw new Error(`"${stem}" makes no good database name: letters, digits and _ only`);
  const { host, port, username, password } = server;
  await execute(server, `CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`);
  return { name, host, port, username, password, drop: () => execute(server, `DROP DATABASE IF EXISTS \`${name}\``) };
}

async function execute(server: DatabaseServerAddress, statement: string): Promise<void> {
  const { host, port, username, password } = server;
  const connection = await createConnection({
    host,
    port,
    user: username,
    password,
    connectTimeout: CONNECT_TIMEOUT_MS,
  });
  try {
    await connection.query(statement);
  } finally {
    await connection.end();
  }
}
