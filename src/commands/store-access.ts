import { setTimeout } from 'node:timers/promises';
import type { Cache } from '../cache/cache.ts';
import type { Config } from '../config.ts';
import type { Database } from '../database/database.ts';
import { describeError } from '../errors.ts';
import { type OpenedCache, openCache } from '../server.ts';
import type { Output } from './output.ts';

/** Opens the cache as an instance does, for verbs that write or invalidate; closes it when `work` has ended. */
export async function withCache<T>(
  config: Config,
  database: Database,
  output: Output,
  work: (opened: OpenedCache) => Promise<T>,
): Promise<T> {
  const opened = openCache(withPatience(config), database);
  try {
    await reachStore(opened.cache, config.settings.REDIS_CONNECT_TIMEOUT_MS, output);
    return await work(opened);
  } finally {
    await opened.cache.close();
    await opened.store.close();
  }
}

/** Fences go out by the batch, which is no matter of a few bytes. */
function withPatience({ backend, settings }: Config): Config {
  return {
    backend,
    settings: { ...settings, REDIS_TIMEOUT_MS: Math.max(settings.REDIS_TIMEOUT_MS, settings.REDIS_BULK_TIMEOUT_MS) },
  };
}

/** Connecting takes a moment, and a write before it would reach running instances only by their next sweep. */
async function reachStore(cache: Cache, timeoutMs: number, output: Output): Promise<void> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await cache.ping();
    } catch (error) {
      if (performance.now() > giveUpAt) {
        output.note(
          `Redis cannot be used (${describeError(error)}): running instances will see the change with their next sweep`,
        );
        return;
      }
    }
    await setTimeout(storePollMs);
  }
}

const storePollMs = 20;
