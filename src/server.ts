import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
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
import { MysqlDatabase } from './database/mysql.ts';
import { DatabaseOutbox } from './database/outbox.ts';
import { SqliteDatabase } from './database/sqlite.ts';
import { withDeadline } from './deadline.ts';
import { CatalogueError, describeError } from './errors.ts';
import { buildApp } from './http/app.ts';
import { Compression } from './http/compression.ts';
import { comesFromDashboard } from './http/dashboard/routes.ts';
import { addInternalRoutes } from './http/internal.ts';
import { addResourceRoutes } from './http/resource-routes.ts';
import { Broadcaster } from './realtime/broadcaster.ts';
import type { EventLog } from './realtime/event-log.ts';
import { MemoryEventLog } from './realtime/memory-event-log.ts';
import { Neighbours } from './realtime/neighbours.ts';
import { EventPublisher } from './realtime/publisher.ts';
import { roomsOf } from './realtime/rooms.ts';
import { Sending } from './http/sending.ts';
import { SocketServer } from './realtime/socket-server.ts';
import { Metrics } from './operations/metrics/metrics.ts';
import { reportFeed } from './operations/report-feed.ts';
import type { ServerStates } from './operations/metrics/servers.ts';
import { addOperatorRoutes, type Operators, operatorsOf } from './operations/operator-routes.ts';
import { prepareDatabase } from './operations/preparation.ts';
import { startTracing, type Tracing } from './operations/tracing/tracing.ts';
import { addressOf, reportCache } from './operations/report.ts';
import type { Part } from './operations/workers.ts';
import { RedisCheckpoint } from './redis/feed-checkpoint.ts';
import { reachRedis } from './redis/reach.ts';
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

  const app = await buildApp({
    logger: log,
    logRequests: settings.LOG_REQUESTS === 'true',
    durationOf: metrics.durationOf,
    trace: tracing?.traceRequests,
    origins: settings.FRONTEND_URL,
    requestTimeoutMs: settings.REQUEST_TIMEOUT_MS,
    sending: new Sending({ mostBytes: settings.OUTGOING_MB * 1024 * 1024, stallMs: settings.SEND_STALL_MS }),
    compression: openCompression(config, cache),
  });
  const operators = operatorsOf(settings);
  const neighbours = worker === undefined ? undefined : new Neighbours(worker.folder, worker.number, app.server);
  const sockets = openSockets(app, config, { eventLog, resources, neighbours, operators });
  const publisher = new EventPublisher(eventLog, systemClock, sockets);
  const feed = openFeedOf(config, { resources, cache, database, checkpoint, events: eventLog });
  const tellsChanges = (): boolean => feed === undefined || feed.state.name === 'refused';
  const changes = tellingWhile(tellsChanges, publisher);
  for (const resource of resources) {
    const reader = new ResourceReader(resource, cache, database, settings.LISTS);
    addResourceRoutes(app, resource, reader, new ResourceWriter(resource, cache, database, changes));
  }
  const broadcaster = new Broadcaster(cache, resources, publisher, tellsChanges);
  addInternalRoutes(app, broadcaster, settings.REALTIME_API_SECRET);
  const state = { isPrepared: preparation.isDone, isDraining: () => draining };
  const isUp = (): boolean => isStoreUp(store);
  const shown = { cache, store, isUp, database, resources, metrics, operators, state, sockets, worker };
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
    await listen(app, settings);
  } catch (error) {
    await stop();
    throw error;
  }
  return { port: portOf(app), stop };
}

export interface ServerParts {
  readonly resources?: readonly Resource[];
  /** Which of several processes on one port this is, and where they find each other. */
  readonly worker?: Part | undefined;
}

export interface RunningServer {
  readonly port: number;
  /** Ends what is in flight, then closes everything. Takes at most `SHUTDOWN_TIMEOUT_MS` and a second. */
  stop(): Promise<void>;
}

const housekeepingMs = 10 * 60_000;
const closeDatabaseMs = 500;
const closeIdleMs = 20;
const sweepMs = 1_000;

/** Forgets now and then what was kept for clients that try again. */
function keepHouse(database: Database): NodeJS.Timeout {
  return setInterval(() => void forgetOldKeys(database, new Date()).catch(() => undefined), housekeepingMs).unref();
}

export function openDatabase({ settings, backend }: Config): Database {
  if (backend.kind === 'embedded') {
    try {
      return new SqliteDatabase({ location: backend.location, queueLimit: settings.DB_QUEUE_LIMIT });
    } catch (error) {
      const reason = `EMBEDDED_DATA must name a file for the embedded database, there or to be made: ${describeError(error)}`;
      throw new CatalogueError('CONFIG_INVALID', { params: { reason }, cause: error });
    }
  }
  return new MysqlDatabase({
    server: backend.database,
    origin: settings.DB_ORIGIN,
    poolSize: settings.DB_POOL_SIZE,
    queueLimit: settings.DB_QUEUE_LIMIT,
    connectTimeoutMs: settings.DB_CONNECT_TIMEOUT_MS,
    acquireTimeoutMs: settings.DB_ACQUIRE_TIMEOUT_MS,
    statementTimeoutMs: settings.DB_STATEMENT_TIMEOUT_MS,
    commitTimeoutMs: settings.DB_COMMIT_TIMEOUT_MS,
  });
}

/** The store needs the cache to recover, and the cache needs the store: the store is connected once both are there. */
export function openCache({ settings, backend }: Config, database: Database): OpenedCache {
  const toCache = (store: CacheStore): Cache =>
    new Cache(store, new DatabaseOutbox(database), systemClock, {
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
    origin: () => database.origin,
  });
  const cache = toCache(store);
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

/** What the gauges of the servers are read from; `undefined` with the embedded default. */
function serverStatesOf(store: CacheStore, database: Database): ServerStates | undefined {
  if (!(store instanceof RedisStore && database instanceof MysqlDatabase)) return undefined;
  return { isRedisUp: () => isStoreUp(store), pool: () => database.connections };
}

/** Logs, metrics and traces: they hear what the others tell of, and nobody waits for them. */
async function openObservers(config: Config, log: Logger, worker: Part | undefined): Promise<Observers> {
  const stopReports = [reportCache(config, log), reportFeed(log)];
  const metrics = new Metrics(worker);
  const tracing = await startTracing(config.settings, log);
  const stop = async (): Promise<void> => {
    metrics.stop();
    await tracing?.stop();
    for (const stopReport of stopReports) stopReport();
  };
  return { metrics, tracing, stop };
}

interface Observers {
  readonly metrics: Metrics;
  readonly tracing: Tracing | undefined;
  readonly stop: () => Promise<void>;
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

/** Waits for requests in flight; those that take longer than `timeoutMs` are cut off. */
async function closeApp(app: FastifyInstance, timeoutMs: number): Promise<void> {
  const cutOff = setTimeout(() => app.server.closeAllConnections(), timeoutMs);
  // Closing ends the connections that are idle then. One whose request is answered later was told to stay open.
  const sendAway = setInterval(() => app.server.closeIdleConnections(), closeIdleMs);
  try {
    await app.close();
  } finally {
    clearTimeout(cutOff);
    clearInterval(sendAway);
  }
}

/** Waits for `promise`, but not longer than `ms`. */
function within(ms: number, promise: Promise<void>): Promise<void> {
  return withDeadline(ms, promise, () => undefined);
}

/** Throws `CatalogueError` `PORT_UNAVAILABLE`. */
async function listen(app: FastifyInstance, { HOST: host, PORT: port }: Config['settings']): Promise<void> {
  try {
    await app.listen({ host, port, listenTextResolver: (url) => `HTTP: listening on ${url}` });
  } catch (error) {
    if (!isListenError(error)) throw error;
    const params = { address: addressOf({ host, port }), reason: describeError(error) };
    throw new CatalogueError('PORT_UNAVAILABLE', { params, cause: error });
  }
}

function portOf(app: FastifyInstance): number {
  const address: AddressInfo | string | null = app.server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** `listen` failed because of the address, not because of a bug in the routes. */
function isListenError(error: unknown): boolean {
  return (
    error instanceof Error && 'syscall' in error && (error.syscall === 'listen' || error.syscall === 'getaddrinfo')
  );
}
