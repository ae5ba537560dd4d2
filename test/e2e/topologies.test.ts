import { expect, test } from '@jest/globals';
import { createSchema } from '../harness/database-schema.ts';
import { openMysql } from '../harness/databases.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { follow, startSentinel } from '../harness/redis-sentinel.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Two instances on a Redis that is more than one server, chosen by configuration alone. */

const stops = stopAfterEach();

async function startInstances(redis: Record<string, string>, inUse: RegExp): Promise<ServiceProcess[]> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  const { REDIS_URL: _url, ...environment } = environmentOf({ url: '' }, schema);
  const instances = await Promise.all(
    // A node that is not in use yet must not let a write pass it by: that would be the stated exception.
    [1, 2].map(() =>
      startServiceProcess({
        environment: { ...environment, ...redis, WRITE_WITHOUT_CACHE: 'reject', REDIS_TIMEOUT_MS: '1000' },
      }),
    ),
  );
  for (const instance of instances) stops.push(instance.stop);
  for (const instance of instances) await instance.line(inUse);
  const database = openMysql(schema);
  await database.execute("INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
  await database.close();
  return instances;
}

/** Behind a start or a failover writes are refused until all instances know which Redis is in use. */
async function accepted<T extends { readonly status: number }>(write: () => Promise<T>): Promise<T> {
  let answer = await write();
  await eventually(async () => {
    if (answer.status === 503) answer = await write();
    return answer.status !== 503;
  }, 20_000);
  return answer;
}

/** A write through one instance is seen by the other at once, and both answer from the cache in between. */
async function expectOneCache([one, two]: readonly ServiceProcess[]): Promise<void> {
  if (one === undefined || two === undefined) throw new Error('two instances are needed');
  // The nodes of a cluster come into use one by one.
  for (const each of [one, two]) {
    await eventually(async () => (await each.get('/cache/health')).json.services.redis === 'healthy', 20_000);
  }
  const created = await accepted(() =>
    one.request('POST', '/cache/posts', { title: 'first', content: 'c', user_id: 1 }),
  );
  expect(created.status).toBe(201);
  const path = `/cache/posts/${created.json.data.id}`;
  for (const each of [two, one]) await eventually(async () => (await each.get(path)).json.source === 'cache');
  expect((await one.get(path)).json.data.title).toBe('first');
  expect((await accepted(() => two.request('PUT', path, { title: 'second' }))).status).toBe(200);
  for (const each of [one, two]) expect((await each.get(path)).json.data.title).toBe('second');
  await eventually(async () => (await one.get('/cache/posts')).json.source === 'cache');
  expect((await accepted(() => two.request('DELETE', path, { user_id: 1 }))).status).toBe(200);
  expect((await one.get(path)).status).toBe(404);
  expect((await one.get('/cache/posts')).json.data).toEqual([]);
  // On a busy machine a node may be late three times in a row, and is then not trusted for a moment.
  await eventually(async () => {
    const { redis, mysql } = (await one.get('/cache/health')).json.services;
    return redis === 'healthy' && mysql === 'healthy';
  }, 20_000);
}

test('a Redis Cluster', async () => {
  const cluster = await startRedisCluster({ replicas: false });
  stops.push(cluster.stop);
  const nodes = cluster.masters.map(({ host, port }) => `${host}:${port}`).join(',');
  const instances = await startInstances({ REDIS_CLUSTER_NODES: nodes }, /Cache: Redis Cluster \(\S+, .+\) is in use/);
  await expectOneCache(instances);
  const [, second] = cluster.masters;
  await second?.kill();
  for (const instance of instances) {
    await instance.line(/Cache: Redis Cluster .* is not in use: 127\.0\.0\.1:\d+: /);
    expect((await instance.get('/cache/posts')).status).toBe(200);
    expect((await instance.get('/cache/health')).json.services.redis).toBe('unhealthy');
  }
}, 60_000);

test('a master behind a Sentinel, and the next one after it has died', async () => {
  const [master, replica] = await Promise.all([startRedis({ ownProcess: true }), startRedis({ ownProcess: true })]);
  stops.push(master.stop, replica.stop);
  await follow(replica, master);
  const sentinel = await startSentinel(master);
  stops.push(sentinel.stop);
  await eventually(async () => (await sentinel.replicas()).length === 1);
  const instances = await startInstances(
    { REDIS_SENTINELS: `${sentinel.host}:${sentinel.port}` },
    /Cache: Redis mymaster \(Sentinels \S+\) is in use/,
  );
  await expectOneCache(instances);
  await master.kill();
  await eventually(async () => (await sentinel.masterPort()) === replica.port, 30_000);
  for (const instance of instances) {
    await eventually(async () => (await instance.get('/cache/health')).json.services.redis === 'healthy', 20_000);
  }
  await expectOneCache(instances);
}, 90_000);
