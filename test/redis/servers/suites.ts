import { describe, expect, test } from '@jest/globals';
import { findOtherRedis, type RedisKind, redisLabels } from '../../harness/binaries.ts';
import { startRedis, withClient } from '../../harness/redis-server.ts';
import { chooseRedis } from '../../harness/redis-under-test.ts';

/**
 * All that depends on what the server is, once more on another one than the installed Redis: the contracts, lost memory,
 * Cluster, Sentinel, and whole instances on both. Where the server cannot be had the report at the start of the run says so
 * and why.
 */
export async function runRedisSuites(kind: Exclude<RedisKind, 'installed'>): Promise<void> {
  const found = await findOtherRedis(kind);
  if ('unavailable' in found) {
    test(`${redisLabels[kind]} is not available here, and the report at the start of the run says why`, () => {
      expect(found.unavailable).not.toBe('');
    });
    return;
  }
  chooseRedis(kind);
  describe('the servers that are started here', () => {
    test(`are ${redisLabels[kind]} ${found.version}`, async () => {
      const server = await startRedis();
      const info = await withClient(server.url, (client) => client.info('server'));
      await server.stop();
      const name = kind === 'valkey' ? 'valkey_version' : 'redis_version';
      expect(info).toContain(`${name}:${found.version}`);
    });
  });
  await import('../store.test.ts');
  await import('../event-log.test.ts');
  await import('../feed-checkpoint.test.ts');
  await import('../inspection.test.ts');
  await import('../many-reads.test.ts');
  await import('../lost-memory.test.ts');
  await import('../cluster.test.ts');
  await import('../sentinel.test.ts');
  await import('../../doctor/redis.test.ts');
  await import('../../e2e/topologies.test.ts');
}
