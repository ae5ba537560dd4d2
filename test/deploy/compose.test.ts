import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import { parse } from 'yaml';
import { root } from '../../scripts/docs/generated.ts';
import { textOf } from '../docs/documents.ts';
import { findDockerCompose } from '../harness/binaries.ts';
import { type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { connectClient } from '../harness/live-client.ts';
import { type Nginx, startNginx } from '../harness/nginx.ts';
import { startPrometheus } from '../harness/prometheus.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { eventually } from '../harness/service.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';
import { composeServices, composeVariables, secretsFile } from './compose-file.ts';

/**
 * compose.yaml, without a container engine: the same programs with the same configuration files, settings, accounts and order.
 * Only addresses and paths are others, and Grafana is left out: no package of it can be had.
 */

jest.setTimeout(180_000);
const stops = stopAfterEach(10_000);

const environmentOf = (name: string): Readonly<Record<string, string>> => composeServices[name]?.environment ?? {};

/** As options of the command line. MariaDB does not know all of them. */
function databaseOptions(): string[] {
  const lines = textOf('deploy/compose/mysql/energex.cnf').split('\n');
  return lines.filter((line) => /^\w+ = /.test(line)).map((line) => `--loose-${line.replace(' = ', '=')}`);
}

async function startDatabase(): Promise<DatabaseServer> {
  const [{ flavour } = { flavour: 'mariadb' as const }] = sharedDatabases();
  const server = await startDatabaseServer(flavour, { ownProcess: true, config: databaseOptions() });
  stops.push(() => server.stop());
  const script = join(root, 'deploy/compose/mysql/accounts.sh');
  const { MYSQL_DATABASE: name, ...env } = environmentOf('mysql');
  const sql = execFileSync('sh', [script, 'print'], { env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' });
  const { host, port, username: user } = server;
  const connection = await createConnection({ host, port, user, multipleStatements: true });
  await connection.query(`CREATE DATABASE ${name}; ${sql}`);
  await connection.end();
  return server;
}

async function startRedisOfCompose(): Promise<RedisServer> {
  const [, , line = ''] = composeServices['redis']?.command ?? [];
  const flags = line.replace('exec redis-server', '').replaceAll("''", '""').trim().split(/\s+/);
  const config = flags.map((flag) => (flag === '""' ? '' : flag));
  const at = config.indexOf('--requirepass');
  config.splice(at, 2);
  const redis = await startRedis({ password: environmentOf('redis')['REDISCLI_AUTH'] ?? '', config });
  stops.push(() => redis.stop());
  return redis;
}

type Servers = { readonly redis: RedisServer; readonly database: DatabaseServer };

/** The settings of a service of compose.yaml, with addresses of here. */
function settingsOf(name: string, { redis, database }: Servers): Record<string, string> {
  const given = environmentOf(name);
  return {
    ...given,
    NODE_ENV: 'production',
    REDIS_HOST: redis.host,
    REDIS_PORT: String(redis.port),
    DB_HOST: database.host,
    DB_PORT: String(database.port),
    // Two cores carry all of it, and what else runs meanwhile.
    REDIS_TIMEOUT_MS: '1000',
    ...('TRUSTED_PROXIES' in given ? { TRUSTED_PROXIES: '127.0.0.1' } : {}),
  };
}

async function runOnce(name: string, servers: Servers, command: readonly string[]): Promise<void> {
  const { code, errors } = await runVerb(command, { environment: settingsOf(name, servers) });
  expect({ name, code, errors: code === 0 ? '' : errors }).toEqual({ name, code: 0, errors: '' });
}

function withAddresses(text: string, instances: readonly ServiceProcess[]): string {
  return instances.reduce(
    (result, { port }, index) => result.replaceAll(`cache-${index + 1}:4000`, `127.0.0.1:${port}`),
    text,
  );
}

async function startNginxOfCompose(instances: readonly ServiceProcess[]): Promise<Nginx> {
  const site = withAddresses(textOf('deploy/nginx/energex-cache.conf'), instances);
  const nginx = await startNginx({
    configuration: (port, folder) =>
      textOf('deploy/compose/nginx.conf')
        .replaceAll('/tmp/', `${folder}/`)
        .replace('include /etc/nginx/conf.d/default.conf;', site)
        .replace('listen 8080;', `listen 127.0.0.1:${port};`),
    probe: '/readyz',
  });
  stops.push(() => nginx.stop());
  return nginx;
}

async function startAll(): Promise<Servers & { instances: ServiceProcess[]; nginx: Nginx }> {
  const [database, redis] = await Promise.all([startDatabase(), startRedisOfCompose()]);
  const servers = { database, redis };
  await runOnce('migrate', servers, composeServices['migrate']?.command ?? []);
  await runOnce('seed', servers, ['seed', '--posts', '20', '--users', '3']);
  const instances: ServiceProcess[] = [];
  for (const name of ['cache-1', 'cache-2']) {
    const instance = await startServiceProcess({ environment: settingsOf(name, servers) });
    stops.push(instance.stop);
    instances.push(instance);
  }
  for (const instance of instances)
    await eventually(async () => (await instance.get('/readyz')).status === 200, 30_000);
  return { ...servers, instances, nginx: await startNginxOfCompose(instances) };
}

async function ask(
  url: string,
  init: RequestInit = {},
): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }> {
  const headers = { connection: 'close', 'content-type': 'application/json' };
  const response = await fetch(url, { ...init, headers });
  const text = await response.text();
  return { status: response.status, json: text.startsWith('{') ? JSON.parse(text) : text };
}

test('all of it together: reads, a write, a live event through nginx, the feed, metrics and alert rules', async () => {
  const { nginx, instances, redis, database } = await startAll();
  const posts = `${nginx.url}/cache/posts`;

  const list = await ask(posts);
  expect([list.status, list.json.data.length]).toEqual([200, 20]);

  const origin = composeVariables['FRONTEND_URL'] ?? '';
  const byWebSocket = await connectClient(nginx.url, { extraHeaders: { origin } });
  const byPolling = await connectClient(nginx.url, { extraHeaders: { origin }, transports: ['polling'] });
  stops.push(async () => {
    byWebSocket.close();
    byPolling.close();
  });
  const [{ user_id: userId }] = list.json.data;
  const body = JSON.stringify({ title: 'Through nginx', content: 'and back', user_id: userId });
  const written = await ask(posts, { method: 'POST', body });
  expect(written.status).toBe(201);
  for (const client of [byWebSocket, byPolling]) {
    await client.hears(1);
    expect(client.heard).toMatchObject([['new_post', { id: written.json.data.id, title: 'Through nginx' }]]);
  }
  for (const instance of instances) {
    expect((await instance.get('/cache/posts')).json.data[0].id).toBe(written.json.data.id);
  }

  // Another program, with an account of its own: the feed sees it with the rights that accounts.sh gave.
  const { host, port } = database;
  const owner = environmentOf('migrate');
  const [user, password] = [owner['DB_USERNAME'] ?? '', owner['DB_PASSWORD'] ?? ''];
  const other = await createConnection({ host, port, user, password });
  await other.query('UPDATE energex.posts SET title = ? WHERE id = ?', ['By another', written.json.data.id]);
  await other.end();
  await byWebSocket.hears(2);
  expect(byWebSocket.heard[1]).toMatchObject(['post_updated', { title: 'By another' }]);
  expect((await ask(`${posts}/${written.json.data.id}`)).json.data.title).toBe('By another');

  expect((await ask(`${nginx.url}/metrics`)).status).toBe(404);
  expect((await ask(`${nginx.url}/internal/stats`)).status).toBe(404);

  await examineByDoctor({ redis, database });
  await examinePrometheus(instances);
});

test('an instance that is replaced is missed by nobody', async () => {
  const { nginx, instances } = await startAll();
  const [first] = instances;
  const statuses: number[] = [];
  const enough = new AbortController();
  const reading = (async () => {
    while (!enough.signal.aborted) statuses.push((await ask(`${nginx.url}/cache/posts?limit=5`)).status);
  })();
  await eventually(async () => statuses.length > 20);
  first?.signal('SIGTERM');
  expect(await first?.ended).toMatchObject({ code: 0 });
  const before = statuses.length;
  await eventually(async () => statuses.length > before + 50);
  enough.abort();
  await reading;
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
});

/** The doctor has nothing to say against the rights of the account, nor against Redis' policy. */
async function examineByDoctor(servers: Servers): Promise<void> {
  const environment = { ...settingsOf('cache-1', servers), PORT: '0' };
  const { lines } = await runVerb(['doctor', '--json'], { environment });
  const { findings } = JSON.parse(lines.join('\n'));
  const bad = findings.filter(({ severity }: { severity: string }) => severity !== 'ok');
  // Settings: the secrets of the example, which nobody should deploy, and the memory of this machine.
  expect(bad.filter(({ id }: { id: string }) => !id.startsWith('settings.'))).toEqual([]);
  const ids = findings.map(({ id }: { id: string }) => id);
  expect(ids).toEqual(expect.arrayContaining(['mysql.grants', 'redis.maxmemory-policy']));
}

async function examinePrometheus(instances: readonly ServiceProcess[]): Promise<void> {
  const prometheus = await startPrometheus(withAddresses(textOf('deploy/compose/prometheus.yml'), instances), {
    'alerts.yml': textOf('deploy/prometheus/alerts.yml'),
  });
  stops.push(prometheus.stop);
  const up = async (): Promise<readonly number[]> =>
    (await prometheus.query('up{job="energex-cache"}')).map(({ value }) => value);
  await eventually(async () => (await up()).join() === '1,1', 60_000);
  const following = await prometheus.query('sum(energex_change_feed_state{state="following"})');
  expect(following.map(({ value }) => value)).toEqual([1]);
  const { groups } = await prometheus.api('rules');
  const names = groups.map(({ name }: { name: string }) => name);
  expect(new Set(names)).toEqual(new Set(['energex-cache-ratios', 'energex-cache']));
}

describe('compose.yaml', () => {
  test('is read by Docker Compose as these tests read it', async () => {
    const { command, leadingArguments } = await findDockerCompose();
    const flags = ['--file', join(root, 'compose.yaml'), '--env-file', join(root, secretsFile), '--profile', 'seed'];
    const args = [...leadingArguments, ...flags, 'config', '--format', 'json'];
    const env = { PATH: process.env['PATH'] };
    // It writes each dollar as two, so that its output can be read again.
    const printed = execFileSync(command, args, { env, encoding: 'utf8' }).replaceAll('$$', '$');
    const { services: resolved } = JSON.parse(printed);
    expect(Object.keys(resolved).toSorted()).toEqual(Object.keys(composeServices).toSorted());
    for (const [name, { image, environment, command: started, depends_on: after }] of services) {
      const { [name]: theirs } = resolved;
      expect([theirs.image, theirs.environment ?? undefined]).toEqual([image, environment]);
      expect(theirs.command ?? undefined).toEqual(started);
      expect(Object.keys(theirs.depends_on ?? {}).toSorted()).toEqual(
        (Array.isArray(after) ? after : Object.keys(after ?? {})).toSorted(),
      );
    }
  });

  const services = Object.entries(composeServices);
  const ownImages = services.filter(([, { image }]) => image?.startsWith('energex-cache:'));

  test.each(services)('%s is hardened and bounded, or a job that ends', (name, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
    if (['migrate', 'seed'].includes(name)) {
      expect(service['restart']).toBe('no');
      return;
    }
    expect(service).toMatchObject({ restart: 'unless-stopped', healthcheck: { test: expect.anything() } });
    const limits = Object(service['deploy']).resources.limits;
    expect(limits).toEqual({ cpus: expect.any(String), memory: expect.any(String), pids: expect.any(Number) });
  });

  test('the files that it mounts are there', () => {
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes).filter((each) => each.startsWith('./'));
    expect(mounted.length).toBeGreaterThan(8);
    expect(mounted.filter((each) => !existsSync(join(root, each.split(':')[0] ?? '')))).toEqual([]);
  });

  test('an instance is not killed before it could end by itself', () => {
    for (const name of ['cache-1', 'cache-2'])
      expect(composeServices[name]).toMatchObject({ stop_grace_period: '15s' });
    expect(ownImages.map(([name]) => name)).toEqual(['migrate', 'seed', 'cache-1', 'cache-2']);
  });

  test('its Prometheus differs from the example in its targets only', () => {
    const ours = parse(textOf('deploy/compose/prometheus.yml'));
    const example = parse(textOf('deploy/prometheus/prometheus.yml'));
    ours.scrape_configs[0].static_configs = example.scrape_configs[0].static_configs;
    expect(ours).toEqual(example);
  });
});
