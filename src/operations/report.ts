import type { Logger } from 'pino';
import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import type { Config, RedisAddress } from '../config.ts';
import { addressOf } from '../http/listener.ts';
import { type RealtimeEvent, realtimeChannel } from '../realtime/channels.ts';

/** What the log says of the cache: one line at the start, one whenever the store or the log of events comes or goes, one for a difference or a damage. */
export function reportCache({ backend }: Config, log: Logger): () => void {
  if (backend.kind === 'embedded') {
    log.info('Cache: embedded, in this process (set REDIS_HOST and DB_HOST to use servers)');
  }
  const where = backend.kind === 'embedded' ? '' : describeRedis(backend.redis);
  // Attempts to connect go on by the second: each reason is told once, and the close that ends each attempt not at all.
  const told = new Set<string>();
  const isNews = (reason: string): boolean =>
    told.size === 0 || (told.size < mostReasons && !told.has(reason) && reason !== 'the connection was closed');
  const report = (message: unknown): void => {
    // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as CacheEvent;
    if (event.type === 'audit' && event.differs) {
      log.warn(`Audit: what was cached under ${event.key} was not what the database holds; it was invalidated`);
    }
    if (event.type === 'damage')
      log.warn(`Redis: what stood under ${event.key} was not what was stored there; it was taken away`);
    if (event.type !== 'store') return;
    if (event.up) {
      told.clear();
      log.info(`Cache: ${where} is in use (${event.reason})`);
    } else if (isNews(event.reason)) {
      told.add(event.reason);
      log.warn(`Cache: ${where} is not in use: ${event.reason}; reads go to the database`);
    }
  };
  const reportEvents = (message: unknown): void => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as RealtimeEvent;
    if (event.type !== 'event-log') return;
    if (event.up) log.info('Live events: the log is in use again; clients are told to read anew');
    else log.warn(`Live events: only for clients of this instance, until the log is back: ${event.reason}`);
  };
  cacheChannel.subscribe(report);
  realtimeChannel.subscribe(reportEvents);
  return () => {
    cacheChannel.unsubscribe(report);
    realtimeChannel.unsubscribe(reportEvents);
  };
}

/** Who may write: one line at the start. */
export function reportWrites({ JWT_SECRET, JWT_JWKS_URL, NODE_ENV }: Config['settings'], log: Logger): void {
  if (JWT_SECRET !== undefined || JWT_JWKS_URL !== undefined) {
    log.info('Writes: only with a token of a user');
    return;
  }
  const text = 'Writes: open to everybody who reaches the port (set JWT_SECRET or JWT_JWKS_URL)';
  if (NODE_ENV === 'production') log.warn(text);
  else log.info(text);
}

const mostReasons = 10;

function describeRedis(redis: RedisAddress): string {
  switch (redis.kind) {
    case 'single':
      return `Redis at ${addressOf(redis)}`;
    case 'sentinel':
      return `Redis ${redis.master} (Sentinels ${redis.sentinels.map(addressOf).join(', ')})`;
    case 'cluster':
      return `Redis Cluster (${redis.nodes.map(addressOf).join(', ')})`;
  }
}
