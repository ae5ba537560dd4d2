import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Connection, createConnection } from 'mysql2/promise';
import { loadConfig } from '../../src/config.ts';
import { reach } from '../../src/database/mysql-reach.ts';
import { type Certificates, makeCertificates, serverName } from '../harness/certificates.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { makeServerFolder } from '../harness/server-process.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/**
 * A database that takes no connection without TLS, and an account that must show a certificate: everything that the service
 * does there goes through, the change feed too, and whoever lacks something is told what.
 */
const account = { user: 'energex', password: 'of the account' };
const stops = stopAfterEach();
let folder: string;
let certificates: Certificates;
let redis: RedisServer;

beforeAll(async () => {
  folder = await makeServerFolder('certificates');
  [certificates, redis] = await Promise.all([makeCertificates(folder), startRedis()]);
}, 60_000);
afterAll(() => Promise.all([redis.stop(), rm(folder, { recursive: true, force: true })]));

describe.each(sharedDatabases().map(({ flavour, version }) => ({ flavour, version })))(
  '$flavour $version',
  ({ flavour }) => {
    let server: DatabaseServer;
    let schema: DatabaseSchema;
    let environment: Record<string, string>;

    beforeAll(async () => {
      server = await startSecure(flavour);
      schema = await createSchema(server);
      await prepareAccount(server);
      environment = {
        ...environmentOf(redis, { ...schema, username: account.user, password: account.password }),
        DB_TLS: 'on',
        DB_TLS_CA_FILE: certificates.ca,
        DB_TLS_CERT_FILE: certificates.client.cert,
        DB_TLS_KEY_FILE: certificates.client.key,
        DB_TLS_SERVERNAME: serverName,
        CHANGE_FEED: 'binlog',
        NODE_ENV: 'production',
        ALLOW_OPEN_WRITES: 'true',
      };
    }, 90_000);
    afterAll(() => server.stop());

    async function startSecureService(): Promise<ServiceProcess> {
      const service = await startServiceProcess({ environment });
      stops.push(service.stop);
      await service.line(/Cache: Redis at \S+ is in use/);
      await service.line(/Change feed: following/);
      return service;
    }

    /** As the service connects. */
    async function dial(): Promise<Connection> {
      const { backend } = loadConfig(environment);
      if (backend.kind === 'embedded') throw new Error('no server');
      const connection = await createConnection(reach(backend.database));
      stops.push(() => connection.end());
      return connection;
    }

    test('writes, reads and the changes of other programs', async () => {
      const service = await startSecureService();
      const sql = await dial();
      await sql.query("INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
      const post = { title: 'over TLS', content: 'c', user_id: 1 };
      const { status, json } = await service.request('POST', '/cache/posts', post);
      expect(status).toBe(201);
      const path = `/cache/posts/${json.data.id}`;
      await eventually(async () => (await service.get(path)).json.source === 'cache');
      await sql.query("UPDATE posts SET title = 'by another program' WHERE id = ?", [json.data.id]);
      await eventually(async () => (await service.get(path)).json.data.title === 'by another program');
      const [rows] = await sql.query("SHOW SESSION STATUS LIKE 'Ssl_version'");
      expect(JSON.stringify(rows)).toMatch(/TLSv1\.[23]/);
    });

    async function findings(changed: Record<string, string | undefined>): Promise<Map<string, Finding>> {
      const given = Object.entries({ ...environment, ...changed }).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      );
      const { lines } = await runVerb(['doctor', '--json'], { environment: Object.fromEntries(given) });
      const told: Finding[] = JSON.parse(lines.join('\n')).findings;
      return new Map(told.map((each) => [each.id, each]));
    }

    test('the doctor says how the database is reached', async () => {
      const told = await findings({});
      expect(told.get('mysql.connect')?.severity).toBe('ok');
      expect(told.get('mysql.tls')).toMatchObject({
        severity: 'ok',
        finding: expect.stringMatching(/^the database is reached over TLSv1\.[23] with \w/),
      });
    });

    const without = { DB_TLS_CA_FILE: undefined, DB_TLS_CERT_FILE: undefined, DB_TLS_KEY_FILE: undefined };
    /** An account that need not show a certificate. */
    const anyone = { DB_USERNAME: 'root', DB_PASSWORD: '' };

    // MariaDB says no more to a connection without TLS than that access is denied.
    test.each<[string, Record<string, string | undefined>, RegExp]>([
      ['no TLS', { ...without, ...anyone, DB_TLS: undefined, DB_TLS_SERVERNAME: undefined }, /\bDB_TLS\b/],
      ['another name', { DB_TLS_SERVERNAME: 'another.test' }, /^DB_TLS_SERVERNAME=/],
      ['an authority that is not known', { DB_TLS_CA_FILE: undefined }, /^DB_TLS_CA_FILE=/],
      ['no certificate of its own', { DB_TLS_CERT_FILE: undefined, DB_TLS_KEY_FILE: undefined }, /DB_TLS_CERT_FILE/],
    ])('%s is told, with what mends it', async (_, changed, remedy) => {
      const connect = (await findings(changed)).get('mysql.connect');
      expect(connect?.severity).toBe('fail');
      expect(connect?.remedy).toMatch(remedy);
    });
  },
);

type Finding = { readonly id: string; readonly severity: string; readonly finding: string; readonly remedy?: string };

function startSecure(flavour: DatabaseFlavour): Promise<DatabaseServer> {
  const { ca, server } = certificates;
  const config = [`--ssl-ca=${ca}`, `--ssl-cert=${server.cert}`, `--ssl-key=${server.key}`];
  return startDatabaseServer(flavour, { ownProcess: true, config });
}

/** After that nobody comes in without TLS. */
async function prepareAccount({ host, port, username, password }: DatabaseServer): Promise<void> {
  const ssl = { ca: readFileSync(certificates.ca, 'utf8') };
  const connection = await createConnection({ host, port, user: username, password, ssl });
  const name = `'${account.user}'@'${host}'`;
  await connection.query(`CREATE USER ${name} IDENTIFIED BY '${account.password}' REQUIRE X509`);
  await connection.query(`GRANT ALL ON *.* TO ${name}`);
  await connection.query('SET GLOBAL require_secure_transport = ON');
  await connection.end();
}
