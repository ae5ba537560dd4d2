import { randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { Cache } from './cache/cache.ts';
import { systemClock } from './cache/clock.ts';
import type { Inspection } from './cache/inspection.ts';
import { MemoryStore } from './cache/memory-store.ts';
import type { CacheStore } from './cache/store.ts';
import { type Checkpoint, MemoryCheckpoint } from './change-feed/checkpoint.ts';
import { type FeedParts, openFeed } from './change-feed/feed.ts';
import type { Follower } from './change-feed/follower.ts';
import type { Config } from './config.ts';
import { claimRun, passBarrier, readClaim, settleClaim } from './database/barrier.ts';
import type { Database } from './database/database.ts';
import { Incarnation } from './database/incarnation.ts';
import { openDatabase } from './database/open.ts';
import { DatabaseOutbox } from './database/outbox.ts';
import { withDeadline } from './deadline.ts';
import { buildApp } from './http/app.ts';
import type { Writes } from './http/body-schemas.ts';
import { Compression } from './http/compression.ts';
import { comesFromDashboard } from './http/dashboard/routes.ts';
import { openInternalListener } from './http/internal-listener.ts';
import { addInternalRoutes } from './http/internal.ts';
import { closeApp, listen, portOf } from './http/listener.ts';
import { limitRequests } from './http/rate-limits.ts';
import type { RequestCounts } from './http/request-counts.ts';
import { addResourceRoutes } from './http/resource-routes.ts';
import { AdmittedDatabase } from './overload/admitted-database.ts';
import { LoadShedding } from './overload/load-shedding.ts';
import { Broadcaster } from './realtime/broadcaster.ts';
import type { EventLog } from './realtime/event-log.ts';
import { MemoryEventLog } from './realtime/memory-event-log.ts';
import { Neighbours } from './realtime/neighbours.ts';
import { EventPublisher } from './realtime/publisher.ts';
import { roomsOf } from './realtime/rooms.ts';
import { Sending } from './http/sending.ts';
import { openTokens } from './http/tokens.ts';
import { SocketServer } from './realtime/socket-server.ts';
import { type Observers, openObservers } from './operations/observers.ts';
import type { ServerStates } from './operations/metrics/servers.ts';
import { addOperatorRoutes, callersOf, type Operators, operatorsOf } from './operations/operator-routes.ts';
import { prepareDatabase } from './operations/preparation.ts';
import type { Part } from './operations/workers.ts';
import { RedisCheckpoint } from './redis/feed-checkpoint.ts';
import type { Settings } from './options.ts';
import { reachRedis } from './redis/reach.ts';
import { RedisCounts } from './redis/request-counts.ts';
import { RedisStore } from './redis/store.ts';
import { forgetOldKeys } from './resources/idempotency.ts';
import { ResourceReader } from './resources/reader.ts';
import { resources as registered } from './resources/registry.ts';
import type { Resource } from './resources/resource.ts';
import type { ChangeSink } from './resources/row-events.ts';
import { ResourceWriter } from './resources/writer.ts';

/**
 * The wiring diagram: the only module that connects things.
 *
 *   config -> store + database -> cache -> resources -> http + realtime
 */
export async function startServer(
  config: Config,
  log: Logger,
  { resources = registered, worker }: ServerParts = {},
): Promise<RunningServer> {
  const { settings } = config;
  const database = openDatabase(config);
  const preparation = prepareDatabase(config, database, log);
  // The store is trusted once the outbox was read, so the table had better be there. A database that hangs does not keep
  // the service from starting.
  await within(settings.DB_CONNECT_TIMEOUT_MS, preparation.firstAttempt);
  const { metrics, tracing, ...observers } = await openObservers(config, log, worker);
  const { store, cache, eventLog, checkpoint } = openCache(config, database);
  let draining = false;

  const app = await openApp(config, { log, cache, database, metrics, tracing });
  const internal = openInternalListener(app, settings);
  limitRequests(app, settings, { resources, counts: countsOf(store) });
  const operators = operatorsOf(settings);
  const neighbours = worker === undefined ? undefined : new Neighbours(worker.folder, worker.number, app.server);
  const sockets = openSockets(app, config, { eventLog, resources, neighbours, operators });
  const publisher = new EventPublisher(eventLog, systemClock, sockets);
  const feed = openFeedOf(config, { resources, cache, database, checkpoint, events: eventLog });
  const tellsChanges = (): boolean => feed === undefined || feed.state.name === 'refused';
  const changes = tellingWhile(tellsChanges, publisher);
  const writes = addResources(app, config, { resources, cache, database, changes });
  const broadcaster = new Broadcaster(cache, resources, publisher, tellsChanges);
  addInternalRoutes(app, broadcaster, callersOf(settings));
  const state = { isPrepared: preparation.isDone, isDraining: () => draining };
  const shown = {
    cache,
    store,
    isUp: () => isStoreUp(store),
    database,
    resources,
    metrics,
    events: eventLog,
    operators,
    state,
    sockets,
    worker,
    writes,
  };
  await addOperatorRoutes(app, settings, shown);

  const housekeeping = keepHouse(database);
  const stop = async (): Promise<void> => {
    draining = true;
    clearInterval(housekeeping);
    preparation.stop();
    await feed?.stop();
    await sockets.close();
    neighbours?.close();
    await closeApp(app, settings.SHUTDOWN_TIMEOUT_MS);
    await internal?.close();
    await publisher.close();
    await cache.close();
    await store.close();
    await within(closeDatabaseMs, database.close());
    await observers.stop();
  };
  try {
    await neighbours?.listen();
    const servers = serverStatesOf(store, database);
    await metrics.start({ resources, servers, hasFeed: feed !== undefined, memory: cache.memory, sockets });
    void preparation.done.then(() => feed?.start());
    await internal?.listen();
    await listen(app, { host: settings.HOST, port: settings.PORT });
  } catch (error) {
    await stop();
    throw error;
  }
  return { port: portOf(app.server), internalPort: internal?.port, stop };
}

export interface ServerParts {
  readonly resources?: readonly Resource[];
  /** Which of several processes on one port this is, and where they find each other. */
  readonly worker?: Part | undefined;
}

export interface RunningServer {
  readonly port: number;
  /** That of the internal listener, if there is one. */
  readonly internalPort: number | undefined;
  /** Ends what is in flight, then closes everything. Takes at most `SHUTDOWN_TIMEOUT_MS` and a second. */
  stop(): Promise<void>;
}

const housekeepingMs = 10 * 60_000;
const closeDatabaseMs = 500;
const sweepMs = 1_000;

/** The HTTP server, without routes. */
function openApp(config: Config, parts: AppParts): Promise<FastifyInstance> {
  const { settings } = config;
  const { log, cache, database, metrics, tracing } = parts;
  return buildApp({
    logger: log,
    logRequests: settings.LOG_REQUESTS === 'true',
    durationOf: metrics.durationOf,
    trace: tracing?.traceRequests,
    limitsReads: settings.RATE_LIMIT_READS > 0,
    trustedProxies: settings.TRUSTED_PROXIES,
    origins: settings.FRONTEND_URL,
    requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
    mostConnections: settings.MAX_CONNECTIONS,
    sending: new Sending({ mostBytes: settings.OUTGOING_MB * bytesPerMb, stallMs: settings.SEND_STALL_MS }),
    compression: openCompression(config, cache),
    shedding: openShedding(settings, database),
  });
}

interface AppParts extends Pick<Observers, 'metrics' | 'tracing'> {
  readonly log: Logger;
  readonly cache: Cache;
  readonly database: Database;
}

/** `undefined` where nothing is refused, however much there is to do. */
function openShedding(settings: Settings, database: Database): LoadShedding | undefined {
  const { SHED_DELAY_MS: delayMs, SHED_QUEUE_MS: queueMs } = settings;
  if (delayMs === 0 && queueMs === 0) return undefined;
  const isBusy = (): boolean => queueMs > 0 && (database.expectedWaitMs ?? 0) > queueMs;
  return new LoadShedding(delayMs === 0 ? undefined : delayMs, isBusy, systemClock);
}

/** Their routes. Returns who may write. */
function addResources(app: FastifyInstance, { settings }: Config, parts: ResourceParts): Writes {
  const { resources, cache, changes } = parts;
  const { SHED_QUEUE_MS: queueMs } = settings;
  const database = queueMs === 0 ? parts.database : new AdmittedDatabase(parts.database, queueMs);
  const tokens = openTokens(settings);
  for (const resource of resources) {
    const reader = new ResourceReader(resource, cache, database, settings.LISTS);
    addResourceRoutes(app, resource, reader, new ResourceWriter(resource, cache, database, changes), tokens);
  }
  return tokens === undefined ? 'open' : 'token';
}

interface ResourceParts {
  readonly resources: readonly Resource[];
  readonly cache: Cache;
  readonly database: Database;
  readonly changes: ChangeSink;
}

/** Forgets now and then what was kept for clients that try again. */
function keepHouse(database: Database): NodeJS.Timeout {
  return setInterval(() => void forgetOldKeys(database, new Date()).catch(() => undefined), housekeepingMs).unref();
}

/** The store needs the cache to recover, and the cache needs the store: the store is connected once both are there. */
export function openCache({ settings, backend }: Config, database: Database): OpenedCache {
  const toCache = (store: CacheStore, outbox = new DatabaseOutbox(database)): Cache =>
    new Cache(store, outbox, systemClock, {
      leaseMs: settings.LEASE_MS,
      fenceMs: settings.FENCE_MS,
      withoutStore: settings.WRITE_WITHOUT_CACHE,
      memoryBytes: settings.MEMORY_TIER_MB * bytesPerMb,
      auditShare: settings.AUDIT_PER_MILLION / 1_000_000,
      sweepMs,
    });
  const bounds = {
    mostEntries: settings.EVENT_LOG_ENTRIES,
    mostBytes: settings.EVENT_LOG_MB * bytesPerMb,
    longestMs: settings.EVENT_LOG_AGE_MS,
  };
  if (backend.kind === 'embedded') {
    const runId = randomBytes(9).toString('base64url');
    const store = new MemoryStore({
      maxBytes: settings.EMBEDDED_CACHE_MB * bytesPerMb,
      now: () => systemClock.now(),
      runId,
    });
    const clock = { now: () => systemClock.now(), unique: () => store.unique() };
    const eventLog = new MemoryEventLog({ ...bounds, ...clock });
    return { store, cache: toCache(store), eventLog, checkpoint: new MemoryCheckpoint() };
  }
  const incarnation = new Incarnation(database);
  const store = new RedisStore({
    ...reachRedis(backend.redis, settings.REDIS_CONNECT_TIMEOUT_MS),
    clock: systemClock,
    timeoutMs: settings.REDIS_TIMEOUT_MS,
    bulkTimeoutMs: settings.REDIS_BULK_TIMEOUT_MS,
    fenceMs: settings.FENCE_MS,
    recover: (wanted) => cache.sweep(wanted),
    barrier: () => passBarrier(database),
    claim: {
      make: (run) => claimRun(database, run),
      read: () => readClaim(database),
      settle: (generation) => settleClaim(database, generation),
    },
    origin: () => incarnation.origin,
  });
  const cache = toCache(store, new DatabaseOutbox(database, () => incarnation.look()));
  store.connect();
  return { store, cache, eventLog: store.openEventLog(bounds), checkpoint: new RedisCheckpoint(store) };
}

function openSockets(
  app: FastifyInstance,
  { settings }: Config,
  {
    eventLog,
    resources,
    neighbours,
    operators,
  }: {
    eventLog: EventLog;
    resources: readonly Resource[];
    neighbours: Neighbours | undefined;
    operators: Operators;
  },
): SocketServer {
  return new SocketServer(app.server, eventLog, systemClock, {
    origins: settings.FRONTEND_URL,
    isOwnPage: (request) => comesFromDashboard(request, operators),
    mostPerAddress: settings.SOCKETS_PER_ADDRESS,
    trustedProxies: settings.TRUSTED_PROXIES,
    isRoom: roomsOf(resources),
    neighbours,
  });
}

/** Whether the store is in use; the one in this process always is. */
function isStoreUp(store: CacheStore): boolean {
  return !(store instanceof RedisStore) || store.downReason === undefined;
}

/** Where all instances count together; `undefined` with the embedded default. */
function countsOf(store: CacheStore): RequestCounts | undefined {
  return store instanceof RedisStore ? new RedisCounts(store.servers) : undefined;
}

/** What the gauges of the servers are read from; `undefined` with the embedded default. */
function serverStatesOf(store: CacheStore, database: Database): ServerStates | undefined {
  const { connections } = database;
  if (!(store instanceof RedisStore) || connections === undefined) return undefined;
  return { isRedisUp: () => isStoreUp(store), pool: () => database.connections ?? connections };
}

function openCompression({ settings }: Config, { memory }: Cache): Compression {
  return new Compression({
    codings: settings.COMPRESSION,
    leastBytes: settings.COMPRESSION_LEAST_BYTES,
    clock: systemClock,
    keepBeside: (held, bytes) => memory.keepBeside(held, bytes),
  });
}

/** With a feed, what is told of changes comes from it alone: in the order of the commits, for all who write. */
function tellingWhile(tellsChanges: () => boolean, sink: ChangeSink): ChangeSink {
  return {
    reserve: async () => (tellsChanges() ? await sink.reserve() : undefined),
    publish: async (event) => (tellsChanges() ? await sink.publish(event) : undefined),
  };
}

function openFeedOf(
  { settings, backend }: Config,
  parts: Pick<FeedParts, 'resources' | 'cache' | 'database' | 'checkpoint' | 'events'>,
): Follower | undefined {
  if (backend.kind === 'embedded') return undefined;
  return openFeed({ settings, server: backend.database, clock: systemClock, ...parts });
}

export interface OpenedCache {
  readonly store: CacheStore & { readonly inspection: Inspection };
  readonly cache: Cache;
  readonly eventLog: EventLog;
  readonly checkpoint: Checkpoint;
}

const bytesPerMb = 1024 * 1024;

/** Waits for `promise`, but not longer than `ms`. */
function within(ms: number, promise: Promise<void>): Promise<void> {
  return withDeadline(ms, promise, () => undefined);
}
