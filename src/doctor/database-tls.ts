import type { DatabaseAddress } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Settings } from '../options.ts';
import { type Finding, ok, warn } from './finding.ts';

/** Whether the database is reached over TLS, and what for. */
export async function examineTls(
  database: Pick<Database, 'query'>,
  { host }: DatabaseAddress,
  { NODE_ENV }: Settings,
): Promise<Finding> {
  const rows = await database.query("SHOW SESSION STATUS WHERE Variable_name IN ('Ssl_cipher', 'Ssl_version')");
  const told = new Map(rows.map(([name, value]): [string, string] => [String(name), String(value)]));
  const cipher = told.get('Ssl_cipher') ?? '';
  if (cipher !== '') return ok('mysql.tls', `the database is reached over ${told.get('Ssl_version')} with ${cipher}`);
  if (NODE_ENV !== 'production' || isOwn(host)) return ok('mysql.tls', 'the database is reached without TLS');
  return warn('mysql.tls', {
    finding: `the database at ${host} is reached without TLS`,
    meaning: 'Whoever can listen on the way reads all rows, and may change them.',
    remedy: 'DB_TLS=on   # and DB_TLS_CA_FILE, if its authority is one of your own',
  });
}

/** Of this machine. */
function isOwn(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** What is to be set when the handshake fails, by what OpenSSL, Node and the servers call it. */
export function adviceOnTls(reason: string): string | undefined {
  if (/altnames|Hostname\/IP does not match/i.test(reason)) {
    return 'DB_TLS_SERVERNAME=...   # a name that the certificate of the database has';
  }
  if (/self[- ]signed certificate|unable to (verify|get)|certificate (has expired|is not yet valid)/i.test(reason)) {
    return 'DB_TLS_CA_FILE=...   # the authority that has signed the certificate of the database; is that still valid?';
  }
  if (/server does not support secure connection/i.test(reason)) {
    return 'DB_TLS=off   # or give the server a certificate: ssl_cert and ssl_key';
  }
  if (/require_secure_transport|insecure transport/i.test(reason)) {
    return 'DB_TLS=on   # the server takes no connection without';
  }
  if (/certificate required|alert (handshake failure|bad certificate|unknown ca|certificate)/i.test(reason)) {
    return 'DB_TLS_CERT_FILE=... DB_TLS_KEY_FILE=...   # signed by an authority that the database knows';
  }
  return undefined;
}
