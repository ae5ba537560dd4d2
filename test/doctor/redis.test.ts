import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { examineRedis } from '../../src/doctor/redis.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { eventually } from '../harness/eventually.ts';
import { about, troubles } from '../harness/findings.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { type RedisServer, startRedis, withClient } from '../harness/redis-server.ts';
import { follow, startSentinel } from '../harness/redis-sentinel.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What `doctor` finds in a real Redis that is deliberately set wrong, and whether what it names mends it. */

const stops = stopAfterEach(3_000);

async function start(config: readonly string[] = [], password?: string): Promise<RedisServer> {
  const redis = await startRedis({
    ownProcess: true,
    config: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru', ...config],
    ...(password === undefined ? {} : { password }),
  });
  stops.push(redis.stop);
  return redis;
}

async function examine(
  environment: Record<string, string>,
  now: () => number = () => Date.now(),
): Promise<readonly Finding[]> {
  const { settings, backend } = loadConfig({ DB_HOST: 'db', REDIS_TIMEOUT_MS: '1000', ...environment });
  if (backend.kind === 'embedded') throw new Error('no server');
  return (await examineRedis(backend.redis, settings, now)).findings;
}

const single = ({ host, port }: { host: string; port: number }) => ({ REDIS_HOST: host, REDIS_PORT: String(port) });

describe('one server', () => {
  test('that is set up well has no trouble', async () => {
    const redis = await start();
    const findings = await examine(single(redis));
    expect(troubles(findings)).toEqual([]);
    expect(about('redis.version', findings)[0]?.finding).toMatch(new RegExp(`^(Redis|Valkey) ${redis.version}$`));
    expect(findings.map(({ id }) => id)).toEqual([
      'redis.connect',
      'redis.version',
      'redis.role',
      'redis.maxmemory',
      'redis.maxmemory-policy',
      'redis.persistence',
      'redis.rights',
      'redis.latency',
      'redis.clock',
    ]);
  });

  test.each<[string, string[], string, RegExp]>([
    ['noeviction', ['--maxmemory-policy', 'noeviction'], 'warn redis.maxmemory-policy', /is noeviction/],
    ['volatile keys only', ['--maxmemory-policy', 'volatile-lru'], 'warn redis.maxmemory-policy', /is volatile-lru/],
    ['random keys', ['--maxmemory-policy', 'allkeys-random'], 'warn redis.maxmemory-policy', /is allkeys-random/],
    ['no limit', ['--maxmemory', '0'], 'warn redis.maxmemory', /is 0, no limit/],
    ['snapshots', ['--save', '3600 1'], 'warn redis.persistence', /snapshots \(save 3600 1\)/],
    ['a log', ['--appendonly', 'yes'], 'warn redis.persistence', /an append-only file/],
    ['replicas that are not there', ['--min-replicas-to-write', '1'], 'fail redis.replicas', /is 1, and 0 replicas/],
  ])('with %s, and the remedy mends it', async (_, config, trouble, finding) => {
    const redis = await start(config);
    const before = await examine(single(redis));
    expect(troubles(before)).toEqual([trouble]);
    const found = before.find(({ severity }) => severity !== 'ok');
    expect(found?.finding).toMatch(finding);
    // As a shell would take it apart.
    const [, settings = ''] = / CONFIG SET (.*?) {3}#/.exec(found?.remedy ?? '') ?? [];
    const words = settings.split(' ').map((word) => word.replaceAll('"', ''));
    expect(found?.remedy).toContain(`redis-cli -h ${redis.host} -p ${redis.port} CONFIG SET `);
    await withClient(redis.url, (client) => client.call('CONFIG', 'SET', ...words));
    expect(troubles(await examine(single(redis)))).toEqual([]);
  });

  test('with a password that is wrong, missing or superfluous', async () => {
    const [locked, open] = await Promise.all([start([], 'right'), start()]);
    const [wrong] = await examine({ ...single(locked), REDIS_PASSWORD: 'marked' });
    expect(wrong).toMatchObject({
      id: 'redis.connect',
      severity: 'fail',
      finding: expect.stringContaining('WRONGPASS'),
    });
    expect(JSON.stringify(wrong)).not.toContain('marked');
    expect(wrong?.remedy).toMatch(/^REDIS_PASSWORD=/);
    const [missing] = await examine(single(locked));
    expect(missing).toMatchObject({ severity: 'fail', finding: expect.stringContaining('NOAUTH') });
    const right = await examine({ ...single(locked), REDIS_PASSWORD: 'right' });
    expect(troubles(right)).toEqual([]);
    const superfluous = await examine({ ...single(open), REDIS_PASSWORD: 'x', REDIS_USERNAME: 'nobody' });
    expect(troubles(superfluous)).toEqual(['fail redis.connect']);
  });

  test('that is not there, or whose name leads nowhere', async () => {
    const port = String(await findFreePort());
    const [refused] = await examine({ REDIS_HOST: '127.0.0.1', REDIS_PORT: port });
    expect(refused).toMatchObject({
      id: 'redis.connect',
      severity: 'fail',
      finding: expect.stringContaining('ECONNREFUSED'),
    });
    expect(refused?.remedy).toContain(`redis-cli -h 127.0.0.1 -p ${port} ping`);
    const [nowhere] = await examine({ REDIS_HOST: 'redis.invalid' });
    expect(nowhere).toMatchObject({ severity: 'fail', remedy: expect.stringMatching(/^REDIS_HOST=/) });
  });

  test('that hangs', async () => {
    const redis = await start();
    await redis.pause();
    const [found] = await examine({ ...single(redis), REDIS_CONNECT_TIMEOUT_MS: '300' });
    await redis.resume();
    expect(found).toMatchObject({ id: 'redis.connect', severity: 'fail' });
  });

  test('that is a replica, a node of a cluster, a Sentinel', async () => {
    const [master, replica] = await Promise.all([start(), start()]);
    await follow(replica, master);
    const [role] = about('redis.role', await examine(single(replica)));
    expect(role).toMatchObject({
      severity: 'fail',
      finding: expect.stringContaining(`replica of ${master.host}:${master.port}`),
    });
    const sentinel = await startSentinel(master);
    stops.push(sentinel.stop);
    const [found] = about('redis.role', await examine(single(sentinel)));
    expect(found).toMatchObject({ severity: 'fail', remedy: expect.stringContaining('REDIS_SENTINELS=') });
    const node = await start(['--cluster-enabled', 'yes', '--cluster-port', String(await findFreePort())]);
    const [of] = about('redis.role', await examine(single(node)));
    expect(of).toMatchObject({ severity: 'fail', remedy: expect.stringContaining('REDIS_CLUSTER_NODES=') });
  });

  test('whose user may not do all that is needed', async () => {
    const redis = await start();
    await withClient(redis.url, (client) =>
      client.call('ACL', 'SETUSER', 'cache', 'on', '>pass', '~*', '&*', '+@all', '-publish'),
    );
    const findings = await examine({ ...single(redis), REDIS_USERNAME: 'cache', REDIS_PASSWORD: 'pass' });
    expect(troubles(findings)).toEqual(['fail redis.rights']);
    expect(about('redis.rights', findings)[0]?.finding).toBe('user cache lacks +publish');
  });

  test('whose user may not look at settings is not asked for them', async () => {
    const redis = await start();
    await withClient(redis.url, (client) =>
      client.call('ACL', 'SETUSER', 'cache', 'on', '>pass', '~*', '&*', '+@all', '-acl', '-config'),
    );
    const findings = await examine({ ...single(redis), REDIS_USERNAME: 'cache', REDIS_PASSWORD: 'pass' });
    expect(troubles(findings)).toEqual([]);
    // That is asked for by a script, which needs no right of its own.
    expect(about('redis.rights', findings)).toMatchObject([{ severity: 'ok' }]);
    expect(about('redis.persistence', findings)[0]?.finding).toContain('CONFIG is not to be read');
  });

  test('that could not save', async () => {
    // Its folder is gone, so there is nowhere to save to.
    const dir = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
    const redis = await startRedis({ ownProcess: true, dir, config: ['--maxmemory', '100mb'] });
    stops.push(redis.stop);
    await rm(dir, { recursive: true });
    await withClient(redis.url, async (client) => {
      await client.set('k', 'v');
      await client.bgsave().catch(() => undefined);
      await eventually(async () => (await client.info('persistence')).includes('rdb_last_bgsave_status:err'));
    });
    const [found] = about('redis.persistence', await examine(single(redis)));
    expect(found).toMatchObject({
      severity: 'fail',
      finding: expect.stringContaining('rdb_last_bgsave_status is err'),
    });
  });

  test('a clock that is wrong, ours or theirs', async () => {
    const redis = await start();
    const ahead = await examine(single(redis), () => Date.now() - 3_600_000);
    expect(about('redis.clock', ahead)).toMatchObject([
      { severity: 'warn', finding: expect.stringMatching(/is 3[56]\d{5} ms ahead of ours/) },
    ]);
    const behind = await examine(single(redis), () => Date.now() + 60_000);
    expect(about('redis.clock', behind)).toMatchObject([
      { severity: 'warn', finding: expect.stringContaining('behind') },
    ]);
  });

  test('a deadline that round trips hardly keep', async () => {
    const redis = await start();
    const findings = await examine({ ...single(redis), REDIS_TIMEOUT_MS: '1' });
    const [found] = about('redis.latency', findings);
    // On a fast machine a round trip may well take less than half a millisecond.
    expect(found?.finding).toMatch(/^a round trip takes \d+\.\d ms/);
    expect(found?.severity === 'ok' || found?.remedy.startsWith('REDIS_TIMEOUT_MS=')).toBe(true);
  });
});

test('a cluster: every master, and a slot that nobody has', async () => {
  const cluster = await startRedisCluster({ replicas: false });
  stops.push(cluster.stop);
  const [first, second] = cluster.masters;
  if (first === undefined || second === undefined) throw new Error('no masters');
  for (const master of cluster.masters) {
    await cluster.on(master, async (client) => {
      await client.config('SET', 'maxmemory', '100mb');
      await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    });
  }
  const environment = { REDIS_CLUSTER_NODES: `127.0.0.1:1,${first.host}:${first.port}` };
  const findings = await examine(environment);
  expect(troubles(findings)).toEqual([]);
  expect(about('redis.slots', findings)[0]?.finding).toBe('all 16384 slots are on 3 masters');
  expect(about('redis.maxmemory-policy', findings)).toHaveLength(1);

  await cluster.on(second, (client) => client.config('SET', 'maxmemory-policy', 'noeviction'));
  const [, , wrong] = about('redis.maxmemory-policy', await examine(environment)).toSorted((one) =>
    one.severity === 'warn' ? 1 : -1,
  );
  expect(wrong).toMatchObject({
    severity: 'warn',
    finding: `${second.host}:${second.port}: maxmemory-policy is noeviction`,
    remedy: expect.stringContaining(`redis-cli -h ${second.host} -p ${second.port} CONFIG SET`),
  });

  await cluster.on(first, (client) => client.call('CLUSTER', 'DELSLOTS', 0, 1));
  expect(about('redis.slots', await examine(environment))).toMatchObject([
    { severity: 'fail', finding: '2 of 16384 slots have no master', remedy: expect.stringContaining('--cluster fix') },
  ]);

  await second.stop();
  const away = about('redis.connect', await examine(environment)).find(({ severity }) => severity === 'fail');
  expect(away?.finding).toContain(`${second.host}:${second.port}: Redis cannot be used`);
  const [none] = await examine({ REDIS_CLUSTER_NODES: '127.0.0.1:1' });
  expect(none).toMatchObject({
    id: 'redis.connect',
    severity: 'fail',
    finding: expect.stringContaining('127.0.0.1:1'),
  });
}, 60_000);

test('Sentinels: too few, one that is away, one that knows another name', async () => {
  const master = await start();
  const sentinels = await Promise.all([startSentinel(master), startSentinel(master), startSentinel(master)]);
  for (const { stop } of sentinels) stops.push(stop);
  const [first] = sentinels;
  const all = sentinels.map(({ host, port }) => `${host}:${port}`);
  const fine = await examine({ REDIS_SENTINELS: all.join(',') });
  expect(troubles(fine)).toEqual([]);
  expect(about('redis.connect', fine)[0]?.finding).toContain(`${master.host}:${master.port}`);
  const few = await examine({ REDIS_SENTINELS: all[0] ?? '' });
  expect(troubles(few)).toEqual(['warn redis.sentinels']);
  const unknown = await examine({
    REDIS_SENTINELS: all.join(','),
    REDIS_SENTINEL_NAME: 'other',
    REDIS_CONNECT_TIMEOUT_MS: '500',
  });
  expect(about('redis.sentinels', unknown)).toMatchObject([
    { severity: 'fail', finding: expect.stringContaining('knows no master by the name other') },
    { severity: 'fail' },
    { severity: 'fail' },
  ]);
  await first?.stop();
  const away = await examine({ REDIS_SENTINELS: all.join(',') });
  expect(troubles(away)).toEqual(['warn redis.sentinels']);
}, 60_000);
