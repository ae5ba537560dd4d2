import { startRedisCluster } from '../../harness/redis-cluster.ts';
import { runWholeApi } from './suites.ts';

const cluster = await startRedisCluster();

await runWholeApi({
  name: 'a Redis Cluster of three masters and three replicas',
  environment: { REDIS_CLUSTER_NODES: cluster.masters.map(({ host, port }) => `${host}:${port}`).join(',') },
  flush: async () => {
    await Promise.all(cluster.masters.map((node) => cluster.on(node, (client) => client.flushall())));
  },
  stop: cluster.stop,
});
