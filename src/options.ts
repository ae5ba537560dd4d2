import {
  addresses,
  choice,
  codings,
  integer,
  keyPrefix,
  networks,
  type Option,
  origins,
  serverUrl,
  share,
  text,
} from './option-kinds.ts';

/**
 * Every setting of the service: name, type, default, description, in one table. `docs/configuration.md` holds the same table
 * and a test keeps the two equal. `option-kinds.ts` has the kinds of values, `config.ts` reads them.
 */

/** Those of OpenTelemetry's specification that need no server of their own. */
const samplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

export const options = {
  NODE_ENV: text('development', {
    description: 'With `production`, missing settings are an error instead of the embedded default.',
  }),
  HOST: text('0.0.0.0', { description: 'Address to listen on.' }),
  PORT: integer(4000, 0, 65_535, { description: 'Port to listen on; 0 takes a free one.' }),
  INTERNAL_PORT: integer(undefined, 0, 65_535, {
    description:
      'A second port for those who run the service. With it `/internal`, `/metrics`, `/livez`, `/readyz` and `/dashboard` are there alone; without it they are on `PORT`.',
  }),
  INTERNAL_HOST: text(undefined, { description: 'Address of the second port; without it that of `HOST`.' }),
  REDIS_HOST: text(undefined, {
    description: 'Host of the Redis server. Neither it nor `DB_HOST` set: the embedded default runs.',
  }),
  REDIS_PORT: integer(6379, 1, 65_535, { description: 'Port of the Redis server.' }),
  REDIS_PASSWORD: text(undefined, { secret: true, description: 'Password of the Redis server.' }),
  REDIS_URL: serverUrl(['redis', 'rediss'], {
    secret: true,
    description: '`redis://user:password@host:port/db` (`rediss` for TLS) instead of the single `REDIS_` settings.',
  }),
  REDIS_USERNAME: text(undefined, { description: 'User at Redis, where it has users (ACL).' }),
  REDIS_SENTINELS: addresses({
    description:
      'Sentinels, as `host:port,host:port`: they tell which server is the master. Instead of `REDIS_HOST` and `REDIS_URL`.',
  }),
  REDIS_SENTINEL_NAME: text('mymaster', { description: 'Name by which the Sentinels know the master.' }),
  REDIS_SENTINEL_PASSWORD: text(undefined, { secret: true, description: 'Password of the Sentinels.' }),
  REDIS_SENTINEL_USERNAME: text(undefined, { description: 'User at the Sentinels, where they have users (ACL).' }),
  REDIS_CLUSTER_NODES: addresses({
    description:
      'Some nodes of a Redis Cluster, as `host:port,host:port`; the others are found. Instead of `REDIS_HOST` and `REDIS_URL`.',
  }),
  REDIS_KEY_PREFIX: keyPrefix({
    description:
      'What all keys and channels in Redis begin with, such as `shop:`, so that services with databases of their own can share a Redis. None of them may begin with another.',
  }),
  REDIS_TLS: choice('off', ['off', 'on'], {
    description: 'Whether Redis is reached over TLS; of one server `rediss://` in `REDIS_URL` says the same.',
  }),
  REDIS_TLS_CA_FILE: text(undefined, {
    description:
      'File (PEM) of the authorities that may have signed the certificate of Redis, instead of the usual ones.',
  }),
  REDIS_TLS_CERT_FILE: text(undefined, {
    description: 'File (PEM) of the certificate that the service shows to Redis, where `tls-auth-clients` wants one.',
  }),
  REDIS_TLS_KEY_FILE: text(undefined, { description: 'File (PEM) of the private key of that certificate.' }),
  REDIS_TLS_SERVERNAME: text(undefined, {
    description:
      'Name that the certificate of Redis must have, where that is not the host: the nodes of a cluster tell their addresses.',
  }),
  REDIS_SENTINEL_TLS: choice('as-redis', ['as-redis', 'off', 'on'], {
    description: 'Whether the Sentinels are reached over TLS: as Redis is, or not.',
  }),
  REDIS_TIMEOUT_MS: integer(50, 1, 60_000, {
    description:
      'Deadline of a Redis command of a few bytes; past it the request goes to the database. After three in a row nothing is sent but pings, until one is answered.',
  }),
  REDIS_BULK_TIMEOUT_MS: integer(1_000, 1, 60_000, {
    description: 'Deadline of a Redis command that may carry a large value.',
  }),
  REDIS_CONNECT_TIMEOUT_MS: integer(2_000, 1, 60_000, {
    description:
      'Deadline of connecting to Redis; a connection that has been silent for this long while commands wait is given up.',
  }),
  DB_HOST: text(undefined, { description: 'Host of the MySQL or MariaDB server.' }),
  DB_PORT: integer(3306, 1, 65_535, { description: 'Port of the MySQL or MariaDB server.' }),
  DB_USERNAME: text('root', { description: 'User at the database.' }),
  DB_PASSWORD: text('', { secret: true, description: 'Password of that user.' }),
  DB_DATABASE: text('energex', { description: 'Name of the database.' }),
  DATABASE_URL: serverUrl(['mysql', 'mariadb'], {
    secret: true,
    description: '`mysql://user:password@host:port/database` instead of the single `DB_` settings.',
  }),
  DB_TLS: choice('off', ['off', 'on'], {
    description: 'Whether the database and its replicas are reached over TLS; their certificates are checked.',
  }),
  DB_TLS_CA_FILE: text(undefined, {
    description:
      'File (PEM) of the authorities that may have signed the certificate of the database, instead of the usual ones.',
  }),
  DB_TLS_CERT_FILE: text(undefined, {
    description:
      'File (PEM) of the certificate that the service shows to the database, for a user with `REQUIRE X509`.',
  }),
  DB_TLS_KEY_FILE: text(undefined, { description: 'File (PEM) of the private key of that certificate.' }),
  DB_TLS_SERVERNAME: text(undefined, {
    description:
      'Name that the certificates of the database and its replicas must have, where that is not the host; needed where that is an address.',
  }),
  DB_ORIGIN: text(undefined, {
    description:
      "A fixed name of the database, for a proxy that spreads connections over servers with the same data. Without it, entries that were loaded from another server (by MySQL's `server_uuid`, a Galera cluster or a replication group) are not served.",
  }),
  DB_REPLICAS: addresses({
    description:
      'Read replicas of the database, as `host:port,host:port`, with the user and password of `DB_HOST`. They answer loads once they show all that the cache knows of; see docs/scaling.md.',
  }),
  DB_REPLICA_WAIT_MS: integer(100, 1, 10_000, {
    description: 'How long a load waits for a replica to show the last write before the primary is asked.',
  }),
  DB_POOL_SIZE: integer(10, 1, 1_000, { description: 'Most connections to the database.' }),
  DB_QUEUE_LIMIT: integer(200, 1, 100_000, {
    description: 'Most requests that wait for a connection; one more is answered 503.',
  }),
  DB_CONNECT_TIMEOUT_MS: integer(2_000, 1, 60_000, { description: 'Deadline of connecting to the database.' }),
  DB_ACQUIRE_TIMEOUT_MS: integer(2_500, 1, 60_000, {
    description: 'How long a request waits for a free connection before it is answered 503.',
  }),
  DB_STATEMENT_TIMEOUT_MS: integer(5_000, 10, 600_000, {
    description: 'Deadline of a statement; the server ends it, and past a grace of 500 ms the connection is dropped.',
  }),
  DB_COMMIT_TIMEOUT_MS: integer(15_000, 10, 600_000, {
    description: 'Deadline of a COMMIT, longer than semi-synchronous replication waits; shorter than `FENCE_MS`.',
  }),
  EMBEDDED_DATA: text(undefined, {
    description: 'File of the embedded database; without it the data lives in memory and ends with the process.',
  }),
  FRONTEND_URL: origins('http://localhost:5173', {
    description: 'Origins of the browsers that may connect, separated by commas.',
  }),
  REALTIME_API_SECRET: text(undefined, {
    secret: true,
    description:
      'What `x-internal-secret` of `POST /internal/broadcast` and `GET /internal/stats` must be; without it both answer 403.',
  }),
  REALTIME_API_SECRET_PREVIOUS: text(undefined, {
    secret: true,
    description: 'The one before `REALTIME_API_SECRET`, accepted beside it while it is exchanged.',
  }),
  JWT_SECRET: text(undefined, {
    secret: true,
    description:
      'Secret that the backend signs its tokens with (HS256). With it, or with `JWT_JWKS_URL`, who writes needs a token, whose `sub` is the id of the user.',
  }),
  JWT_SECRET_PREVIOUS: text(undefined, {
    secret: true,
    description: 'The one before `JWT_SECRET`, accepted beside it while it is exchanged.',
  }),
  JWT_JWKS_URL: serverUrl(['https', 'http'], {
    description:
      'Where the public keys of the tokens are, as a JSON Web Key Set; `http` only on this machine. Instead of `JWT_SECRET`.',
  }),
  JWT_JWKS_ALGORITHM: choice('RS256', ['RS256', 'PS256', 'ES256', 'EdDSA'], {
    description: 'The one algorithm of tokens that are checked with `JWT_JWKS_URL`.',
  }),
  JWT_ISSUER: text(undefined, { description: 'What the claim `iss` of tokens must be, if it matters.' }),
  JWT_AUDIENCE: text(undefined, { description: 'What the claim `aud` of tokens must name, if it matters.' }),
  ALLOW_OPEN_WRITES: choice('false', ['true', 'false'], {
    description:
      'With `true` the service starts in production without `JWT_SECRET` and `JWT_JWKS_URL`: whoever reaches it may write.',
  }),
  SOCKETS_PER_ADDRESS: integer(1_000, 1, 1_000_000, {
    description: 'Most live connections of one address. Behind a proxy that is not in `TRUSTED_PROXIES` all have one.',
  }),
  RATE_LIMIT_READS: integer(0, 0, 1_000_000_000, {
    description:
      'Most reads of one address per minute; 0 sets no limit. With a limit all reads take the whole way, each counted in Redis.',
  }),
  RATE_LIMIT_WRITES: integer(0, 0, 1_000_000_000, {
    description: 'Most writes of one address per minute, refused ones included; 0 sets no limit.',
  }),
  RATE_LIMIT_BROADCASTS: integer(0, 0, 1_000_000_000, {
    description: 'Most `POST /internal/broadcast` of one address per minute, refused ones included; 0 sets no limit.',
  }),
  TRUSTED_PROXIES: networks({
    description: 'Proxies in front of the service, as addresses or networks, whose `X-Forwarded-For` is believed.',
  }),
  EVENT_LOG_ENTRIES: integer(10_000, 1, 10_000_000, {
    description: 'Most live events that are kept for clients that come back.',
  }),
  EVENT_LOG_MB: integer(16, 1, 65_536, { description: 'Most memory for them, in MiB.' }),
  EVENT_LOG_AGE_MS: integer(3_600_000, 1_000, 604_800_000, { description: 'How long they are kept at most.' }),
  MEMORY_TIER_MB: integer(64, 1, 65_536, { description: 'Bound of the in-process tier (L1), in MiB.' }),
  OUTGOING_MB: integer(512, 1, 65_536, {
    description:
      'Most memory for large answers that clients are slow to take, in MiB; a value that several take counts once.',
  }),
  MAX_CONNECTIONS: integer(20_000, 1, 1_000_000, {
    description:
      'Most connections of clients at a time on the public port, those for live events included; never more than leave the process 256 of the files that it may open.',
  }),
  SHED_DELAY_MS: integer(25, 0, 10_000, {
    description:
      'How late the event loop may be for long: beyond it requests are refused with 503 before they cost anything, so that the others are answered in time. 0: never.',
  }),
  SHED_QUEUE_MS: integer(100, 0, 60_000, {
    description:
      'How long requests may wait for a connection to the database for long: beyond it those that need one are refused with 503. 0: never.',
  }),
  SEND_STALL_MS: integer(30_000, 100, 3_600_000, {
    description: 'How long a client may take no byte of a large answer before it is cut.',
  }),
  COMPRESSION: codings('br,gzip', {
    description:
      'Content codings in which hits of some size are sent to clients that accept them, the preferred one first; `off` sends all as it is. Each version is compressed once, and the bytes are kept within `MEMORY_TIER_MB`.',
  }),
  COMPRESSION_LEAST_BYTES: integer(4_096, 1, 1_073_741_824, {
    description: 'Least size, in bytes, of the `data` of an answer that is compressed.',
  }),
  EMBEDDED_CACHE_MB: integer(64, 1, 65_536, {
    description: 'Bound of the in-process store of the embedded default, in MiB.',
  }),
  LISTS: choice('segments', ['segments', 'whole'], {
    description:
      'Whether a long list is put together from segments, so that a write costs the one that it touches. With `whole` each load is one SELECT: for tables that other programs change without a change feed and without telling, where segments may be of different times.',
  }),
  LEASE_MS: integer(5_000, 100, 60_000, {
    description: 'How long the loader of a key may keep other readers of the key waiting.',
  }),
  FENCE_MS: integer(30_000, 1_000, 600_000, {
    description: 'How long a fence stands that its writer has left behind; longer than any COMMIT can hang.',
  }),
  WRITE_WITHOUT_CACHE: choice('accept', ['accept', 'reject'], {
    description: 'Whether writes are taken while Redis cannot be reached.',
  }),
  AUDIT_PER_MILLION: integer(1_000, 0, 1_000_000, {
    description:
      'How many of a million hits are compared with the database in the background; 0 turns the audit off. It never takes more than a hundredth of the time.',
  }),
  CHANGE_FEED: choice('off', ['off', 'binlog', 'triggers'], {
    description:
      "How changes of other programs are learned of: from the server's binary log, from triggers on the tables, or not at all. See `docs/change-feed.md`.",
  }),
  FEED_SERVER_ID: integer(0, 0, 4_294_967_295, {
    description:
      'Number by which the database server tells the reader of its binary log from replicas; 0 takes one above 2^31 by chance.',
  }),
  FEED_FENCE_MS: integer(250, 1, 60_000, {
    description:
      'How long nothing is cached under what the change feed has invalidated: longer than a commit that is in the binary log stays unseen.',
  }),
  FEED_POLL_MS: integer(100, 10, 60_000, {
    description: 'How often the table that the triggers write is read, with `CHANGE_FEED=triggers`.',
  }),
  REQUEST_TIMEOUT_MS: integer(10_000, 100, 600_000, {
    description: 'How long a request may take to arrive, headers and body.',
  }),
  SHUTDOWN_TIMEOUT_MS: integer(9_000, 100, 600_000, {
    description: 'How long requests in flight may take after SIGTERM.',
  }),
  OPERATOR_SECRET: text(undefined, {
    secret: true,
    description: 'What lets an operator into `/dashboard`. Without it the dashboard is open, and in production closed.',
  }),
  OPERATOR_SECRET_PREVIOUS: text(undefined, {
    secret: true,
    description: 'The one before `OPERATOR_SECRET`, accepted beside it while it is exchanged.',
  }),
  METRICS_TOKEN: text(undefined, {
    secret: true,
    description:
      'What `GET /metrics` demands as `Authorization: Bearer ...`; without it everyone who reaches the port may read the metrics.',
  }),
  METRICS_TOKEN_PREVIOUS: text(undefined, {
    secret: true,
    description: 'The one before `METRICS_TOKEN`, accepted beside it while it is exchanged.',
  }),
  OTEL_TRACES_EXPORTER: choice('auto', ['auto', 'otlp', 'none'], {
    description:
      'Whether spans are sent to a collector. `auto`: when an endpoint is named. While they are, hits take the whole way.',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: serverUrl(['http', 'https'], {
    description: 'The OpenTelemetry collector, such as `http://localhost:4318`; `/v1/traces` is added.',
  }),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: serverUrl(['http', 'https'], {
    description: 'Where traces are sent, with its path; instead of the one above.',
  }),
  OTEL_EXPORTER_OTLP_PROTOCOL: choice('http/protobuf', ['http/protobuf', 'http/json'], {
    description: 'How spans are written.',
  }),
  OTEL_SERVICE_NAME: text('energex-cache', { description: 'What the service is called in traces.' }),
  OTEL_TRACES_SAMPLER: choice('parentbased_always_on', samplers, {
    description: 'Which requests are traced; `parentbased_` leaves it to the caller where there is one.',
  }),
  OTEL_TRACES_SAMPLER_ARG: share(1, { description: 'The share of requests that a sampler by `traceidratio` takes.' }),
  OTEL_SDK_DISABLED: choice('false', ['true', 'false'], { description: 'Turns traces off, whatever else is set.' }),
  LOG_LEVEL: choice('info', ['fatal', 'error', 'warn', 'info', 'debug', 'silent'], {
    description: 'Least level that is logged.',
  }),
  LOG_FORMAT: choice('auto', ['auto', 'json', 'pretty'], {
    description: '`auto` is pretty on a terminal and JSON elsewhere.',
  }),
  LOG_REQUESTS: choice('true', ['true', 'false'], {
    description: 'One log line per request. With `false` hits are answered on a much shorter way.',
  }),
} as const satisfies Record<string, Option<unknown>>;

type OptionName = keyof typeof options;
/** What the table says, with a value for each name. */
export type Settings = { readonly [N in OptionName]: ReturnType<(typeof options)[N]['parse']> };
