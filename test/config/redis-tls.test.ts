import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { checkConfig, loadConfig, type RedisAddress } from '../../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'energex-cache-test-pem-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('TLS to Redis', () => {
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => `-----BEGIN ${name}-----`);
  const files = {
    REDIS_TLS_CA_FILE: fileWith('ca', ca ?? ''),
    REDIS_TLS_CERT_FILE: fileWith('cert', cert ?? ''),
    REDIS_TLS_KEY_FILE: fileWith('key', key ?? ''),
  };
  const redisOf = (given: Record<string, string>): RedisAddress => {
    const { backend } = loadConfig({ DB_HOST: 'd', ...files, ...given });
    if (backend.kind !== 'servers') throw new Error('the embedded default was chosen');
    return backend.redis;
  };

  test('one server by host or by URL, Sentinels, a cluster', () => {
    const tls = { ca, cert, key, servername: 'redis.test' };
    const on = { REDIS_TLS: 'on', REDIS_TLS_SERVERNAME: 'redis.test' };
    expect(redisOf({ ...on, REDIS_HOST: 'h' })).toEqual({ kind: 'single', host: 'h', port: 6379, tls });
    expect(redisOf({ REDIS_URL: 'rediss://h', REDIS_TLS_SERVERNAME: 'redis.test' })).toEqual({
      ...{ kind: 'single', host: 'h', port: 6379, tls },
    });
    expect(redisOf({ ...on, REDIS_CLUSTER_NODES: 'h:1' })).toEqual({
      ...{ kind: 'cluster', nodes: [{ host: 'h', port: 1 }], tls },
    });
    const sentinel = { kind: 'sentinel', sentinels: [{ host: 'h', port: 1 }], master: 'mymaster' };
    const own = { REDIS_SENTINELS: 'h:1', REDIS_SENTINEL_USERNAME: 's', REDIS_SENTINEL_PASSWORD: 'p' };
    const access = { sentinelUsername: 's', sentinelPassword: 'p' };
    expect(redisOf({ ...on, ...own })).toEqual({ ...sentinel, ...access, tls, sentinelTls: tls });
    expect(redisOf({ ...on, ...own, REDIS_SENTINEL_TLS: 'off' })).toEqual({ ...sentinel, ...access, tls });
    expect(redisOf({ REDIS_SENTINELS: 'h:1', REDIS_SENTINEL_TLS: 'on', REDIS_TLS_SERVERNAME: 'redis.test' })).toEqual({
      ...{ ...sentinel, sentinelTls: tls },
    });
  });

  test.each<[string, Record<string, string>, RegExp]>([
    ['files without TLS', { ...files }, /^REDIS_TLS_CA_FILE needs REDIS_TLS=on, or rediss:\/\/ in REDIS_URL$/],
    [
      'no file',
      { REDIS_TLS: 'on', REDIS_TLS_CA_FILE: 'nowhere' },
      /^REDIS_TLS_CA_FILE names a file that does not exist/,
    ],
    ['no PEM', { REDIS_TLS: 'on', REDIS_TLS_CA_FILE: fileWith('text', 'x') }, /^REDIS_TLS_CA_FILE names .* no PEM$/],
    [
      'half a pair',
      { REDIS_TLS: 'on', REDIS_TLS_KEY_FILE: files.REDIS_TLS_KEY_FILE },
      /^REDIS_TLS_CERT_FILE and .* go/,
    ],
  ])('%s', (_, given, problem) => {
    expect(checkConfig({ REDIS_HOST: 'h', DB_HOST: 'd', ...given }).problems[0]).toMatch(problem);
  });
});
