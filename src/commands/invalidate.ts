import { setTimeout } from 'node:timers/promises';
import { type CacheEvent, cacheChannel } from '../cache/channels.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { readClaim } from '../database/barrier.ts';
import type { Database } from '../database/database.ts';
import type { EventLog } from '../realtime/event-log.ts';
import { countNames, inspectKey } from '../redis/inspection.ts';
import type { Lookout } from '../redis/lookout.ts';
import { type Invalidation, invalidationFor, keyForms } from '../resources/key-meaning.ts';
import { resources } from '../resources/registry.ts';
import { openDatabase } from '../database/open.ts';
import type { OpenedCache } from '../server.ts';
import { insteadOfRedisFlag, internalUrlOf } from './instance-url.ts';
import { invalidateInInstance, showInInstance } from './invalidate-instance.ts';
import { keyOfUrl } from './key-of-url.ts';
import type { Output } from './output.ts';
import { type OnServers, onServers, openLookout } from './on-servers.ts';
import { OperatorApi } from './running-instance.ts';
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
    insteadOfRedisFlag,
  ],
  run: async (given) => {
    const plan = await planFor(given.argument, isSet(given, 'all'));
    const servers = onServers(given);
    const isDry = isSet(given, 'dry-run');
    const { output } = given;
    if (servers === undefined) {
      const operators = OperatorApi.ofSettings(internalUrlOf(given));
      if (isDry) await showInInstance(plan, operators, output);
      else await invalidateInInstance(plan, operators, output);
      return 'done';
    }
    if (isDry) await show(plan, servers, output);
    else await carryOut(plan, servers, output);
    return 'done';
  },
};

/** What to invalidate: keys, and names of resources. Throws `CatalogueError` `USAGE` for what is no key, URL or resource. */
async function subjectsOf(argument: string | undefined, all: boolean): Promise<readonly string[]> {
  if (all === (argument !== undefined))
    throw usageError('invalidate needs either a key, a URL or a resource, or --all');
  if (argument === undefined) return resources.map(({ name }) => name);
  const isUrl = argument.startsWith('/') || /^https?:/i.test(argument);
  return [isUrl ? ((await keyOfUrl(argument, resources)).key ?? argument) : argument];
}

/** Throws as `subjectsOf` does. */
export async function planFor(argument: string | undefined, all: boolean): Promise<Plan> {
  const subjects = await subjectsOf(argument, all);
  const each = subjects.map((subject) => {
    const plan = invalidationFor(subject, resources);
    if (plan !== undefined) return plan;
    const forms = [...keyForms(resources), ...resources.map(({ name }) => name)].join(', ');
    throw usageError(`"${argument}" is no key, URL or resource; they are like ${forms}`);
  });
  return {
    subjects,
    prefixes: each.flatMap(({ prefixes }) => prefixes),
    names: each.flatMap(({ names }) => names),
  };
}

interface Plan extends Invalidation {
  readonly subjects: readonly string[];
}

async function show({ names, prefixes }: Invalidation, servers: OnServers, output: Output): Promise<void> {
  const lookout = openLookout(servers);
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

async function carryOut({ prefixes, names }: Invalidation, servers: OnServers, output: Output): Promise<void> {
  const { config } = servers;
  const plan = { prefixes, names };
  const lookout = openLookout(servers);
  const database = openDatabase(config);
  try {
    await requireSameRedis(servers, lookout, database).finally(() => lookout.close());
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
async function requireSameRedis({ redis }: OnServers, lookout: Lookout, database: Database): Promise<void> {
  // The nodes of a cluster are not claimed.
  if (redis.kind === 'cluster') return;
  const sight = await lookout.see('').catch(() => undefined);
  if (sight === undefined) return;
  const claim = await readClaim(database);
  if (claim.run === '' || claim.run === sight.runId) return;
  throw failure(
    'the instances use another Redis than the settings name, or it was restarted and none has used it since: nothing of it is served, and nothing was done',
  );
}
