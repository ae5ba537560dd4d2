import { isIP } from 'node:net';

/**
 * Every setting of the service: name, type, default, description, in one table, and the kinds of values they have.
 * `docs/configuration.md` holds the same table and a test keeps the two equal. `config.ts` reads them.
 */

export interface Option<T> {
  readonly kind: string;
  readonly default: T;
  /** Shown in the documentation where the default is not a plain value. */
  readonly shown?: string;
  /** Never printed, and `NAME_FILE` may name a file that holds it. */
  readonly secret?: boolean;
  readonly description: string;
  readonly parse: (text: string) => T;
}

interface Described {
  readonly secret?: boolean;
  readonly description: string;
}

function text<D extends string | undefined>(standard: D, described: Described): Option<string | D> {
  return { ...described, kind: 'text', default: standard, parse: (given) => given };
}

function integer(standard: number, least: number, most: number, described: Described): Option<number> {
  const parse = (given: string): number => {
    const value = Number(given);
    if (!/^\d+$/.test(given) || value < least || value > most) {
      throw new RangeError(`must be a whole number from ${least} to ${most}`);
    }
    return value;
  };
  return { ...described, kind: `integer, ${least} to ${most}`, default: standard, parse };
}

function share(standard: number, described: Described): Option<number> {
  const parse = (given: string): number => {
    const value = Number(given);
    if (!/^\d*\.?\d+$/.test(given) || value > 1) throw new RangeError('must be a number from 0 to 1');
    return value;
  };
  return { ...described, kind: 'number, 0 to 1', default: standard, parse };
}

function choice<const C extends string>(standard: C, choices: readonly C[], described: Described): Option<C> {
  const parse = (given: string): C => {
    const chosen = choices.find((each) => each === given);
    if (chosen === undefined) throw new RangeError(`must be one of ${choices.join(', ')}`);
    return chosen;
  };
  return { ...described, kind: choices.join(' or '), default: standard, parse };
}

function origins(standard: string, described: Described): Option<readonly string[]> {
  const parse = (given: string): readonly string[] =>
    given.split(',').map((each) => {
      const origin = each.trim();
      if (!URL.canParse(origin) || new URL(origin).origin !== origin.replace(/\/$/, '')) {
        throw new RangeError('must be a comma-separated list of origins such as https://app.example.com');
      }
      return new URL(origin).origin;
    });
  return { ...described, kind: 'list of origins', default: parse(standard), shown: standard, parse };
}

function serverUrl(schemes: readonly string[], described: Described): Option<URL | undefined> {
  const parse = (given: string): URL => {
    const parsed = URL.canParse(given) ? new URL(given) : undefined;
    if (parsed === undefined || !schemes.includes(parsed.protocol.slice(0, -1)) || parsed.hostname === '') {
      throw new RangeError(`must be a URL that begins with ${schemes.map((each) => `${each}://`).join(' or ')}`);
    }
    if (parsed.port === '0') throw new RangeError('must have a port from 1 to 65535');
    if (![parsed.username, parsed.password, parsed.pathname].every(isDecodable)) {
      throw new RangeError('must have every % of its user, password and path written as %25');
    }
    return parsed;
  };
  return { ...described, kind: 'URL', default: undefined, parse };
}

function addresses(described: Described): Option<readonly Address[] | undefined> {
  const parse = (given: string): readonly Address[] => {
    const list = given.split(',').map((each) => addressIn(each.trim()));
    if (list.includes(undefined))
      throw new RangeError('must be a comma-separated list such as 10.0.0.1:26379,[::1]:26379');
    return list.filter((each) => each !== undefined);
  };
  return { ...described, kind: 'list of host:port', default: undefined, parse };
}

function networks(described: Described): Option<readonly string[]> {
  const parse = (given: string): readonly string[] => {
    const list = given.split(',').map((each) => each.trim());
    for (const each of list) {
      const [address = '', bits = '0', ...more] = each.split('/');
      const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
      if (more.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) > most) {
        throw new RangeError('must be a comma-separated list of addresses and networks such as 127.0.0.1,10.0.0.0/8');
      }
    }
    return list;
  };
  return { ...described, kind: 'list of networks', default: [], shown: '', parse };
}

/** What answers can be compressed in (RFC 9110, section 8.4.1). */
export const contentCodings = ['br', 'gzip'] as const;
export type ContentCoding = (typeof contentCodings)[number];

function codings(standard: string, described: Described): Option<readonly ContentCoding[]> {
  const parse = (given: string): readonly ContentCoding[] => {
    if (given === 'off') return [];
    const list = given.split(',').map((each) => contentCodings.find((coding) => coding === each.trim()));
    const known = list.filter((each) => each !== undefined);
    if (known.length < list.length || new Set(known).size < known.length) {
      throw new RangeError(`must be off, or a comma-separated list of ${contentCodings.join(' and ')}`);
    }
    return known;
  };
  return { ...described, kind: 'list of content codings, or off', default: parse(standard), shown: standard, parse };
}

function addressIn(given: string): Address | undefined {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(given) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

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
  REDIS_CLUSTER_NODES: addresses({
    description:
      'Some nodes of a Redis Cluster, as `host:port,host:port`; the others are found. Instead of `REDIS_HOST` and `REDIS_URL`.',
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
  DB_ORIGIN: text(undefined, {
    description:
      "A fixed name of the database, for a proxy that spreads connections over servers with the same data. Without it, entries that were loaded from another server (by MySQL's `server_uuid`, a Galera cluster or a replication group) are not served.",
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
  SOCKETS_PER_ADDRESS: integer(1_000, 1, 1_000_000, {
    description: 'Most live connections of one address. Behind a proxy that is not in `TRUSTED_PROXIES` all have one.',
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
  METRICS_TOKEN: text(undefined, {
    secret: true,
    description:
      'What `GET /metrics` demands as `Authorization: Bearer ...`; without it everyone who reaches the port may read the metrics.',
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
