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
import { useEverything } from './whole-service.ts';

/** Two instances on a Redis that is more than one server, chosen by configuration alone. */

const stops = stopAfterEach(3_000);
const secret = 'known to the backend';

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
        environment: {
          ...environment,
          ...redis,
          REALTIME_API_SECRET: secret,
          WRITE_WITHOUT_CACHE: 'reject',
          REDIS_TIMEOUT_MS: '1000',
        },
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

test('a Redis Cluster', async () => {
  const cluster = await startRedisCluster({ replicas: false });
  stops.push(cluster.stop);
  const nodes = cluster.masters.map(({ host, port }) => `${host}:${port}`).join(',');
  const instances = await startInstances({ REDIS_CLUSTER_NODES: nodes }, /Cache: Redis Cluster \(\S+, .+\) is in use/);
  await useEverything(instances, secret);
  // The nodes decide among themselves which of them has a slot: none is put out of use by another.
  const disputes = instances.flatMap(({ lines }) => lines.filter((line) => line.includes('another Redis')));
  expect(disputes).toEqual([]);
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
  await useEverything(instances, secret);
  await master.kill();
  await eventually(async () => (await sentinel.masterPort()) === replica.port, 30_000);
  for (const instance of instances) {
    await eventually(async () => (await instance.get('/cache/health')).json.services.redis === 'healthy', 20_000);
  }
  await useEverything(instances, secret);
}, 90_000);
