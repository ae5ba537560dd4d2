import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { examineRedis } from '../../src/doctor/redis.ts';
import { realmOf } from '../../src/doctor/redis-server.ts';
import { rightsOf } from '../../src/redis/rights.ts';
import { type Certificates, makeCertificates, serverName } from '../harness/certificates.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { openMysql } from '../harness/databases.ts';
import { about, troubles } from '../harness/findings.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { type RedisServer, startRedis, withClient } from '../harness/redis-server.ts';
import { startSentinel } from '../harness/redis-sentinel.ts';
import { openRedisStore, put, trusted } from '../harness/redis-store.ts';
import { makeServerFolder } from '../harness/server-process.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { useEverything } from './whole-service.ts';

/**
 * Two instances on a Redis that they reach by TLS with a certificate of their own, as a user with exactly the rights that
 * the documents name: all that the service does goes through, and nothing else of what the user has is idle.
 */

const stops = stopAfterEach(3_000);
const secret = 'known to the backend';
const user = 'energex';
const password = 'of the user';
let folder: string;
let certificates: Certificates;

beforeAll(async () => {
  folder = await makeServerFolder('certificates');
  certificates = await makeCertificates(folder);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** As `docs/scaling.md` names them. */
const sentinelRights = [
  '-@all',
  '+auth',
  '+info',
  '+client|setname',
  '+sentinel|get-master-addr-by-name',
  '+sentinel|sentinels',
];

test('what a user of Sentinels needs stands in the documents', async () => {
  const document = await readFile(join(import.meta.dirname, '..', '..', 'docs', 'scaling.md'), 'utf8');
  expect(document).toContain(`\`${sentinelRights.join(' ')}\``);
});

type Topology = {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  /** All that have keys. */
  readonly nodes: readonly RedisServer[];
  readonly environment: Readonly<Record<string, string>>;
};

async function startSingle(): Promise<Topology> {
  const redis = await startRedis({ ownProcess: true, tls: certificates });
  stops.push(redis.stop);
  const url = `rediss://${user}:${encodeURIComponent(password)}@${redis.host}:${redis.tlsPort}`;
  return { kind: 'single', nodes: [redis], environment: { REDIS_URL: url } };
}

async function startBehindSentinel(): Promise<Topology> {
  const redis = await startRedis({ ownProcess: true, tls: certificates });
  stops.push(redis.stop);
  const sentinel = await startSentinel({ host: redis.host, port: redis.tlsPort }, { tls: certificates });
  stops.push(sentinel.stop);
  await withClient(`redis://${sentinel.host}:${sentinel.port}`, async (client) => {
    await client.call('ACL', 'SETUSER', 'scout', 'on', '>its own', ...sentinelRights);
    await client.call('ACL', 'SETUSER', 'default', 'resetpass', '>nobody knows');
  });
  const environment = {
    REDIS_SENTINELS: `${sentinel.host}:${sentinel.tlsPort}`,
    REDIS_SENTINEL_USERNAME: 'scout',
    REDIS_SENTINEL_PASSWORD: 'its own',
    REDIS_KEY_PREFIX: 'shop:',
  };
  return { kind: 'sentinel', nodes: [redis], environment };
}

async function startCluster(): Promise<Topology> {
  const cluster = await startRedisCluster({ replicas: false, tls: certificates });
  stops.push(cluster.stop);
  const nodes = cluster.masters.map(({ host, tlsPort }) => `${host}:${tlsPort}`).join(',');
  return { kind: 'cluster', nodes: cluster.masters, environment: { REDIS_CLUSTER_NODES: nodes } };
}

async function onEach<T>({ nodes }: Topology, ...command: [string, ...(string | number)[]]): Promise<T[]> {
  return await Promise.all(
    nodes.map(({ url }) =>
      // What Redis says is for the test to judge.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      withClient(url, (client) => client.call(...command) as Promise<T>),
    ),
  );
}

function environmentFor({ kind, environment }: Topology, schema: DatabaseSchema): Record<string, string> {
  const { REDIS_URL: _url, ...others } = environmentOf({ url: '' }, schema);
  return {
    ...others,
    ...environment,
    ...(kind === 'single' ? {} : { REDIS_USERNAME: user, REDIS_PASSWORD: password, REDIS_TLS: 'on' }),
    REDIS_TLS_CA_FILE: certificates.ca,
    REDIS_TLS_CERT_FILE: certificates.client.cert,
    REDIS_TLS_KEY_FILE: certificates.client.key,
    // A certificate is held against this name, whatever address a node tells.
    REDIS_TLS_SERVERNAME: serverName,
    REALTIME_API_SECRET: secret,
    WRITE_WITHOUT_CACHE: 'reject',
    // Every hit is compared, so that the audit has its part.
    AUDIT_PER_MILLION: '1000000',
    // The oldest have to go.
    EVENT_LOG_ENTRIES: '2',
  };
}

async function prepareSchema(): Promise<DatabaseSchema> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  return schema;
}

async function startInstances(environment: Record<string, string>, schema: DatabaseSchema): Promise<ServiceProcess[]> {
  const instances = await Promise.all([1, 2].map(() => startServiceProcess({ environment })));
  for (const instance of instances) stops.push(instance.stop);
  for (const instance of instances) await instance.line(/Cache: Redis .*is in use/);
  const database = openMysql(schema);
  await database.execute("INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
  await database.close();
  return instances;
}

function realm({ environment }: Topology): Parameters<typeof rightsOf>[0] {
  const { backend } = loadConfig({ DB_HOST: 'd', ...environment });
  if (backend.kind === 'embedded') throw new Error('no server');
  return realmOf(backend.redis);
}

/** Those that were called: `get`, `client|setname`. */
async function commandsUsed(topology: Topology): Promise<Set<string>> {
  const stats = await onEach<string>(topology, 'INFO', 'commandstats');
  return new Set(stats.flatMap((text) => Array.from(text.matchAll(/^cmdstat_(\S+?):/gm), ([, name = '']) => name)));
}

describe('TLS with certificates on both sides, and a user with the least rights', () => {
  test.each([
    ['one server', startSingle],
    ['a master behind a Sentinel', startBehindSentinel],
    ['a Redis Cluster', startCluster],
  ])(
    '%s',
    async (_, start) => {
      const topology = await start();
      const rights = rightsOf(realm(topology));
      await onEach(topology, 'ACL', 'SETUSER', user, 'on', `>${password}`, ...rights);
      const schema = await prepareSchema();
      const environment = environmentFor(topology, schema);
      const instances = await startInstances(environment, schema);
      await useEverything(instances, secret);

      const verbs = [
        ['events', 'tail', '--last', '1', '--count', '1'],
        ['seed', '--posts', '20'],
        ['inspect', 'posts:all'],
        ['invalidate', '--all'],
      ];
      for (const args of verbs) {
        const { code, errors } = await runVerb(args, { environment });
        expect([args, code, errors]).toEqual([args, 0, '']);
      }
      await lookAround(environment);
      // Nothing was refused, to nobody.
      expect(await onEach(topology, 'ACL', 'LOG')).toEqual(topology.nodes.map(() => []));
      const { lines } = await runVerb(['doctor', '--json'], { environment });
      const findings = JSON.parse(lines.join('\n')).findings;
      expect(about('redis.rights', findings)).toMatchObject([{ severity: 'ok' }]);

      const clients = (await onEach<string>(topology, 'CLIENT', 'LIST')).flatMap((text) => text.split('\n'));
      const ours = clients.filter((line) => line.includes('name=energex-cache'));
      const tlsPorts = topology.nodes.map(({ tlsPort }) => String(tlsPort));
      expect(ours.length).toBeGreaterThan(3);
      for (const line of ours) {
        expect(line).toContain(`user=${user}`);
        expect(tlsPorts).toContain(/laddr=\S+:(\d+) /.exec(line)?.[1]);
      }
      const used = await commandsUsed(topology);
      const granted = rights.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1));
      // Only while a slot moves.
      expect(granted.filter((name) => !used.has(name) && name !== 'asking')).toEqual([]);
      for (const { lines: told } of instances) expect(told.filter((line) => line.includes('Audit: '))).toEqual([]);
    },
    90_000,
  );

  /** What the dashboard asks for. */
  async function lookAround(environment: Record<string, string>): Promise<void> {
    const { backend } = loadConfig(environment);
    if (backend.kind === 'embedded') throw new Error('no server');
    const store = openRedisStore(backend.redis);
    try {
      await trusted(store);
      await put(store, 'post:1', 'text');
      const { code, errors } = await runVerb(['inspect', 'post:1'], { environment });
      expect([code, errors]).toEqual([0, '']);
      expect((await store.inspection.find('post:*', 10)).names).toEqual(['post:1']);
      expect((await store.inspection.look('post:1'))?.value?.toString()).toBe('text');
      expect((await store.inspection.usage()).keys).toBeGreaterThan(0);
      await store.release(['post:1'], 'writer');
      const lease = await store.acquire('post:1', 5_000);
      if (lease.kind !== 'lease') throw new Error(`no lease: ${lease.kind}`);
      await store.fill('post:1', lease.token, { value: null, meta: '', ttlMs: 60_000, loadMs: 1 });
      expect(await store.attach('post:1', lease.token, Buffer.from('later'))).toBe(true);
    } finally {
      await store.close();
    }
  }
});

describe('a right that is missing', () => {
  test('is named by the doctor, each of them, and the remedy grants it', async () => {
    const redis = await startRedis({ ownProcess: true });
    stops.push(redis.stop);
    const environment = {
      REDIS_URL: `redis://${user}:${encodeURIComponent(password)}@${redis.host}:${redis.port}`,
      REDIS_TIMEOUT_MS: '1000',
      DB_HOST: 'd',
    };
    const { settings, backend } = loadConfig(environment);
    if (backend.kind === 'embedded') throw new Error('no server');
    const examine = async () => (await examineRedis(backend.redis, settings, () => Date.now())).findings;
    const rights = rightsOf(realmOf(backend.redis));
    const setUser = (...rules: string[]): Promise<unknown> =>
      withClient(redis.url, (client) => client.call('ACL', 'SETUSER', user, ...rules));
    await setUser('on', `>${password}`, ...rights);
    expect(troubles(await examine()).filter((each) => each.startsWith('fail'))).toEqual([]);
    // Without these there is no connection to ask over, or the client asks in vain and goes on.
    const connecting = new Set(['+info', '+ping', '+time']);
    for (const rule of rights.filter((each) => each.startsWith('+') && !connecting.has(each))) {
      await setUser(`-${rule.slice(1)}`);
      const [found] = about('redis.rights', await examine());
      expect(found).toMatchObject({ severity: 'fail', finding: `user ${user} lacks ${rule}` });
      await setUser(rule);
    }
    await setUser('resetkeys', '~energex:*', '~{energex:*', '~post:*', '~{post:*', '~posts:*');
    const [found] = about('redis.rights', await examine());
    expect(found?.finding).toBe(`user ${user} lacks ~{posts:*`);
    const remedy = /ACL SETUSER \S+ (.*?) {3}#/.exec(found?.remedy ?? '')?.[1] ?? '';
    await setUser(...remedy.split(' ').map((word) => word.replaceAll("'", '')));
    expect(about('redis.rights', await examine())).toMatchObject([{ severity: 'ok' }]);
    await setUser('-info');
    const [connect] = await examine();
    expect(connect).toMatchObject({
      id: 'redis.connect',
      severity: 'fail',
      finding: expect.stringMatching(/NOPERM.*info/),
    });
  });
});

describe('a handshake that fails says what to set', () => {
  test('another authority, a name that the certificate has not, no certificate, no TLS on either side', async () => {
    const redis = await startRedis({ ownProcess: true, tls: certificates });
    stops.push(redis.stop);
    const { REDIS_URL: _url, ...base } = { REDIS_URL: '', DB_HOST: 'd', REDIS_CONNECT_TIMEOUT_MS: '1000' };
    const files = {
      REDIS_TLS_CA_FILE: certificates.ca,
      REDIS_TLS_CERT_FILE: certificates.client.cert,
      REDIS_TLS_KEY_FILE: certificates.client.key,
    };
    const at = (port: number): Record<string, string> => ({ REDIS_HOST: redis.host, REDIS_PORT: String(port) });
    const tls = { ...base, ...at(redis.tlsPort), REDIS_TLS: 'on' };
    const cases: [Record<string, string>, RegExp][] = [
      [tls, /^REDIS_TLS_CA_FILE=/],
      [{ ...tls, ...files, REDIS_TLS_SERVERNAME: 'other.test' }, /^REDIS_TLS_SERVERNAME=/],
      [{ ...tls, REDIS_TLS_CA_FILE: certificates.ca }, /^REDIS_TLS_CERT_FILE=/],
      [{ ...base, ...at(redis.port), REDIS_TLS: 'on' }, /^REDIS_TLS=off/],
      [{ ...base, ...at(redis.tlsPort) }, /^REDIS_TLS=on/],
    ];
    for (const [environment, remedy] of cases) {
      const { settings, backend } = loadConfig(environment);
      if (backend.kind === 'embedded') throw new Error('no server');
      const { findings } = await examineRedis(backend.redis, settings, () => Date.now());
      expect(findings).toMatchObject([
        { id: 'redis.connect', severity: 'fail', remedy: expect.stringMatching(remedy) },
      ]);
      expect(JSON.stringify(findings)).not.toContain('PRIVATE KEY');
    }
    const good = loadConfig({ ...tls, ...files });
    if (good.backend.kind === 'embedded') throw new Error('no server');
    const store = openRedisStore(good.backend.redis);
    stops.push(() => store.close());
    await eventually(async () => store.downReason === undefined);
  });
});
