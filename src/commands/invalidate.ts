import { setTimeout } from 'node:timers/promises';
import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { type Config, loadConfig, readEnvironment } from '../config.ts';
import { readClaim } from '../database/barrier.ts';
import type { Database } from '../database/database.ts';
import type { EventLog } from '../realtime/event-log.ts';
import { countNames, inspectKey } from '../redis/inspection.ts';
import { Lookout } from '../redis/lookout.ts';
import { prefixesOf } from '../resources/changes.ts';
import { type Invalidation, invalidationOf, keyForms, meaningOfKey } from '../resources/key-meaning.ts';
import { resources } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import { openDatabase } from '../database/open.ts';
import type { OpenedCache } from '../server.ts';
import { keyOfUrl } from './key-of-url.ts';
import type { Output } from './output.ts';
import { withCache } from './store-access.ts';
import { failure, isSet, usageError, type Verb } from './verb.ts';

export const invalidate: Verb = {
  name: 'invalidate',
  summary: 'take what is cached away, on all instances, so that the next reader loads it',
  details: [
    'For a row also the list and its segment go, as after a write of that row; for the list all of its segments; for a resource all of it. It is done as the change feed does it: versions and leases go with the values, so that no load that is under way brings the old value back. Live clients are told to read anew.',
    'Names that cannot be deleted because Redis is out of reach are recorded in the outbox; running instances delete them within a second of reaching it. Nothing is done where the instances use another Redis than the settings name.',
  ],
  argument: {
    name: 'key|url|resource',
    description: '`post:42`, `posts:all`, `/cache/posts/42` or `posts`',
    isRequired: false,
  },
  flags: [
    { name: 'all', description: 'all of every resource' },
    { name: 'dry-run', description: 'only say what would go' },
  ],
  run: async (given) => {
    const plan = await planFor(given.argument, isSet(given, 'all'));
    const config = loadConfig(readEnvironment());
    if (isSet(given, 'dry-run')) await show(plan, config, given.output);
    else await carryOut(plan, config, given.output);
    return 'done';
  },
};

/** Throws `CatalogueError` `USAGE` for what is no key, URL or resource. */
export async function planFor(argument: string | undefined, all: boolean): Promise<Invalidation> {
  if (all === (argument !== undefined))
    throw usageError('invalidate needs either a key, a URL or a resource, or --all');
  if (argument === undefined) return wholly(resources);
  const named = resources.filter(({ name }) => name === argument);
  if (named.length > 0) return wholly(named);
  const url = argument.startsWith('/') || /^https?:/i.test(argument) ? await keyOfUrl(argument, resources) : undefined;
  const meaning = meaningOfKey(url === undefined ? argument : (url.key ?? ''), resources);
  if (meaning === undefined) {
    const forms = [...keyForms(resources), ...resources.map(({ name }) => name)].join(', ');
    throw usageError(`"${argument}" is no key, URL or resource; they are like ${forms}`);
  }
  return invalidationOf(meaning);
}

function wholly(those: readonly Resource[]): Invalidation {
  return { prefixes: those.flatMap(prefixesOf), names: [] };
}

async function show({ names, prefixes }: Invalidation, config: Config, output: Output): Promise<void> {
  const lookout = openLookout(config);
  try {
    const single = await Promise.all(
      names.map(async (name) => {
        const { version, bytes, parts } = await inspectKey(lookout, name);
        return { name, isCached: version !== null, bytes: bytes ?? 0, parts: parts.length };
      }),
    );
    const many = await Promise.all(
      prefixes.map(async (prefix) => ({ prefix, names: await countNames(lookout, prefix) })),
    );
    output.show({ dryRun: true, names: single, prefixes: many }, [
      'Would invalidate:',
      ...many.map((each) => `  ${each.prefix}*: ${each.names} names`),
      ...single.map(({ name, isCached, bytes, parts }) => {
        const withParts = parts === 0 ? '' : ` and ${parts} parts`;
        return `  ${name}: ${isCached ? `cached, ${bytes} bytes` : 'not cached'}${withParts}`;
      }),
    ]);
  } catch (error) {
    throw error instanceof StoreUnavailable ? failure(`Redis cannot be asked: ${error.message}`, error) : error;
  } finally {
    lookout.close();
  }
}

async function carryOut(plan: Invalidation, config: Config, output: Output): Promise<void> {
  // Throws for the embedded default.
  const lookout = openLookout(config);
  const database = openDatabase(config);
  try {
    await requireSameRedis(config, lookout, database).finally(() => lookout.close());
    await withCache(config, database, output, async (opened) => {
      const reached = await listening(() => takeAway(plan, opened));
      const told = await tellClients(opened.eventLog, config.settings.REDIS_CONNECT_TIMEOUT_MS);
      output.show({ ...plan, reached, clientsTold: told }, [
        ...plan.prefixes.map((prefix) => `Invalidated ${prefix}*`),
        ...plan.names.map((name) => `${reached ? 'Invalidated' : 'Recorded in the outbox:'} ${name}`),
        told ? 'Live clients were told to read anew.' : 'Live clients could not be told: Redis is out of reach.',
      ]);
    });
  } finally {
    await database.close();
  }
}

async function takeAway({ prefixes, names }: Invalidation, { cache }: OpenedCache): Promise<void> {
  try {
    for (const prefix of prefixes) await cache.invalidateAll(prefix);
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw failure(`not everything was invalidated: ${error.message}; run it again when Redis answers`, error);
  }
  if (names.length > 0) await cache.invalidate(names);
}

/** Whether the store was reached for the names that `work` invalidates. */
async function listening(work: () => Promise<void>): Promise<boolean> {
  let reached = true;
  const hear = (message: unknown): void => {
    // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as CacheEvent;
    if (event.type === 'invalidate') reached = event.reached;
  };
  cacheChannel.subscribe(hear);
  try {
    await work();
    return reached;
  } finally {
    cacheChannel.unsubscribe(hear);
  }
}

/** What has changed is not known here, so a new epoch begins. The log can be used once Redis is trusted, in a moment. */
async function tellClients(events: EventLog, timeoutMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    try {
      await events.renew();
      return true;
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      if (performance.now() > giveUpAt) return false;
    }
    await setTimeout(tellAgainMs);
  }
}

const tellAgainMs = 50;

/** Who uses a Redis claims it, so this must not go to another one than the instances do. One that is away is left to them. */
async function requireSameRedis({ backend }: Config, lookout: Lookout, database: Database): Promise<void> {
  // The nodes of a cluster are not claimed.
  if (backend.kind !== 'servers' || backend.redis.kind === 'cluster') return;
  const sight = await lookout.see('').catch(() => undefined);
  if (sight === undefined) return;
  const claim = await readClaim(database);
  if (claim.run === '' || claim.run === sight.runId) return;
  throw failure(
    'the instances use another Redis than the settings name, or it was restarted and none has used it since: nothing of it is served, and nothing was done',
  );
}

function openLookout({ backend, settings }: Config): Lookout {
  if (backend.kind === 'embedded') {
    throw failure(
      'the embedded default has nothing shared to reach: its cache is in the process that serves, which can be told by POST /internal/broadcast or restarted',
    );
  }
  return new Lookout(backend.redis, {
    connectTimeoutMs: settings.REDIS_CONNECT_TIMEOUT_MS,
    timeoutMs: settings.REDIS_BULK_TIMEOUT_MS,
  });
}
