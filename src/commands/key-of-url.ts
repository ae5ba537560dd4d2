import { pino } from 'pino';
import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import type { Key } from '../cache/key.ts';
import { loadConfig } from '../config.ts';
import { migrate } from '../database/migrate.ts';
import { systemClock } from '../cache/clock.ts';
import { buildApp } from '../http/app.ts';
import { Compression } from '../http/compression.ts';
import { addReads } from '../http/resource-routes.ts';
import { Sending } from '../http/sending.ts';
import { ResourceReader } from '../resources/reader.ts';
import type { Resource } from '../resources/resource.ts';
import { openDatabase } from '../database/open.ts';
import { openCache } from '../server.ts';

/** Which key a GET of a URL reads, or why it reads none. */
export interface UrlMeaning {
  readonly path: string;
  readonly key: Key | undefined;
  /** What the request is refused with, where it reads no key. */
  readonly refusal: { readonly status: number; readonly code: string; readonly message: string } | undefined;
  /** Parameters of the query that make no difference. */
  readonly ignored: readonly string[];
}

/**
 * Asks the routes themselves: the URL is read by a service of this process, over the embedded default without a single row,
 * and the cache tells what it was asked for.
 */
export async function keyOfUrl(url: string, resources: readonly Resource[]): Promise<UrlMeaning> {
  const path = url.replace(/^https?:\/\/[^/?#]*/i, '').replace(/#.*$/s, '') || '/';
  const config = loadConfig({});
  const database = openDatabase(config);
  const { cache, store } = openCache(config, database);
  const app = await buildApp({
    logger: pino({ level: 'silent' }),
    logRequests: true,
    // Nobody asks how long it took.
    durationOf: () => ({ observe: () => undefined }),
    trace: undefined,
    limitsReads: false,
    shedding: undefined,
    trustedProxies: [],
    compression: new Compression({ codings: [], leastBytes: 1, clock: systemClock, keepBeside: () => false }),
    origins: config.settings.FRONTEND_URL,
    requestTimeoutMs: config.settings.REQUEST_TIMEOUT_MS,
    mostConnections: 1,
    sending: new Sending({ mostBytes: 1024 * 1024, stallMs: config.settings.SEND_STALL_MS }),
  });
  let key: Key | undefined;
  const hear = (message: unknown): void => {
    // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as CacheEvent;
    if (event.type === 'miss') key ??= event.key;
  };
  cacheChannel.subscribe(hear);
  try {
    await migrate(database);
    for (const resource of resources) addReads(app, resource, new ResourceReader(resource, cache, database, 'whole'));
    const answer = await app.inject({ method: 'GET', url: path });
    const ignored = key === undefined ? [] : ignoredIn(path, key);
    if (key !== undefined) return { path, key, refusal: undefined, ignored };
    const { code, message } = toRefusal(answer.body);
    return { path, key, refusal: { status: answer.statusCode, code, message }, ignored };
  } finally {
    cacheChannel.unsubscribe(hear);
    await app.close();
    await cache.close();
    await store.close();
    await database.close();
  }
}

/** Pages know two parameters; the routes pass over all others. */
function ignoredIn(path: string, key: Key): string[] {
  const names = [...new Set(new URLSearchParams(path.split('?').slice(1).join('?')).keys())];
  return key.includes('#') ? names.filter((name) => name !== 'limit' && name !== 'after') : names;
}

function toRefusal(body: string): { code: string; message: string } {
  const problem: unknown = JSON.parse(body);
  const { code, message } = Object(problem);
  return { code: String(code), message: String(message) };
}
