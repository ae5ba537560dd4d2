import { expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { adviceOnTls, examineTls } from '../../src/doctor/database-tls.ts';
import type { Row } from '../../src/database/database.ts';

test.each([
  ["Hostname/IP does not match certificate's altnames: Host: x", /^DB_TLS_SERVERNAME=/],
  ['self-signed certificate in certificate chain', /^DB_TLS_CA_FILE=/],
  ['unable to verify the first certificate', /^DB_TLS_CA_FILE=/],
  ['certificate has expired', /^DB_TLS_CA_FILE=/],
  ['Server does not support secure connection', /^DB_TLS=off/],
  ['Connections using insecure transport are prohibited while --require_secure_transport=ON.', /^DB_TLS=on/],
  ['tlsv13 alert certificate required', /^DB_TLS_CERT_FILE=/],
])('%s', (reason, remedy) => {
  expect(adviceOnTls(reason)).toMatch(remedy);
});

test('what has nothing to do with TLS is left to others', () => {
  expect(adviceOnTls('connect ECONNREFUSED')).toBeUndefined();
});

test.each([
  ['production', 'db.internal', '', 'warn'],
  ['production', '127.0.0.1', '', 'ok'],
  ['production', 'localhost', '', 'ok'],
  ['development', 'db.internal', '', 'ok'],
  ['production', 'db.internal', 'TLS_AES_256_GCM_SHA384', 'ok'],
])('%s, %s, cipher "%s": %s', async (NODE_ENV, host, cipher, severity) => {
  const { settings } = loadConfig({ NODE_ENV, REDIS_HOST: 'r', DB_HOST: host, ALLOW_OPEN_WRITES: 'true' });
  const query = async (): Promise<Row[]> => [
    ['Ssl_cipher', cipher],
    ['Ssl_version', 'TLSv1.3'],
  ];
  const address = { host, port: 1, user: 'u', password: 'p', database: 'd' };
  expect((await examineTls({ query }, address, settings)).severity).toBe(severity);
});
