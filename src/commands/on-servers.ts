import { type Config, loadConfig, type RedisAddress, readEnvironment } from '../config.ts';
import { Lookout } from '../redis/lookout.ts';
import { type Given, textOf } from './verb.ts';

/** Settings that name servers: what is cached can be looked at from any process. */
export interface OnServers {
  readonly config: Config;
  readonly redis: RedisAddress;
}

/** `undefined` where a running instance is to be asked: by `--url`, or because its cache is in its process (the embedded default). */
export function onServers(given: Given): OnServers | undefined {
  const config = loadConfig(readEnvironment());
  const { backend } = config;
  const isNamed = textOf(given, 'url') !== undefined;
  return isNamed || backend.kind === 'embedded' ? undefined : { config, redis: backend.redis };
}

export function openLookout({ config: { settings }, redis }: OnServers): Lookout {
  return new Lookout(redis, {
    connectTimeoutMs: settings.REDIS_CONNECT_TIMEOUT_MS,
    timeoutMs: settings.REDIS_BULK_TIMEOUT_MS,
  });
}
