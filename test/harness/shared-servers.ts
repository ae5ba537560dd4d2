import { readFileSync } from 'node:fs';
import type { DatabaseServerAddress } from './database-server.ts';

/** Names the file in which the global setup leaves the addresses of the servers that all test files share. */
export const SERVERS_FILE_VARIABLE = 'TEST_SERVERS_FILE';

/** The shared database servers, MySQL first. Give each test file a schema of its own on them: `createSchema`. */
export function sharedDatabases(): DatabaseServerAddress[] {
  const file = process.env[SERVERS_FILE_VARIABLE];
  if (file === undefined) {
    throw new Error(`${SERVERS_FILE_VARIABLE} is not set: tests with databases need the global setup of test/harness`);
  }
  const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
  if (!Array.isArray(content) || !content.every(isAddress)) throw new Error(`${file} holds no server addresses`);
  return content;
}

function isAddress(value: unknown): value is DatabaseServerAddress {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const texts = ['version', 'host', 'username', 'password', 'origin'];
  return (
    (fields.get('flavour') === 'mysql' || fields.get('flavour') === 'mariadb') &&
    typeof fields.get('port') === 'number' &&
    texts.every((name) => typeof fields.get(name) === 'string')
  );
}
