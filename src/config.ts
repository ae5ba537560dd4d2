import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { CatalogueError, describeError } from './errors.ts';

/**
 * Every setting of the service: name, type, default, description, in one table. This is the only module that reads the
 * environment; `docs/configuration.md` holds the same table and a test keeps the two equal.
 */

interface Option<T> {
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

function isDecodable(part: string): boolean {
  try {
    decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

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
    description: 'What `x-internal-secret` of `POST /internal/broadcast` must be; without it the endpoint answers 403.',
  }),
  MEMORY_TIER_MB: integer(64, 1, 65_536, { description: 'Bound of the in-process tier (L1), in MiB.' }),
  EMBEDDED_CACHE_MB: integer(64, 1, 65_536, {
    description: 'Bound of the in-process store of the embedded default, in MiB.',
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
  REQUEST_TIMEOUT_MS: integer(10_000, 100, 600_000, {
    description: 'How long a request may take to arrive, headers and body.',
  }),
  SHUTDOWN_TIMEOUT_MS: integer(9_000, 100, 600_000, {
    description: 'How long requests in flight may take after SIGTERM.',
  }),
  LOG_LEVEL: choice('info', ['fatal', 'error', 'warn', 'info', 'debug', 'silent'], {
    description: 'Least level that is logged.',
  }),
  LOG_FORMAT: choice('auto', ['auto', 'json', 'pretty'], {
    description: '`auto` is pretty on a terminal and JSON elsewhere.',
  }),
  LOG_REQUESTS: choice('true', ['true', 'false'], {
    description: 'One log line per request; `false` costs nothing per request.',
  }),
} as const satisfies Record<string, Option<unknown>>;

type OptionName = keyof typeof options;
type Settings = { readonly [N in OptionName]: ReturnType<(typeof options)[N]['parse']> };
type Environment = Readonly<Record<string, string | undefined>>;

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: Record<string, never>;
}

export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Where the parts run: both servers, or everything in this process. */
export type Backend =
  | { readonly kind: 'servers'; readonly redis: RedisAddress; readonly database: DatabaseAddress }
  | { readonly kind: 'embedded'; readonly location: string };

export interface Config {
  readonly settings: Settings;
  readonly backend: Backend;
}

/** The process's environment over the `.env` file of the working directory. */
export function readEnvironment(): Environment {
  const file: Record<string, string | undefined> = readEnvironmentFile();
  // What the environment says by another name wins as well: else a URL of the file would beat a host of the environment.
  for (const [name, others] of otherNames()) {
    if (others.some((other) => isGiven(process.env[other]))) delete file[name];
  }
  return { ...file, ...process.env };
}

function readEnvironmentFile(): NodeJS.Dict<string> {
  if (!existsSync('.env')) return {};
  try {
    return parseEnv(readFileSync('.env', 'utf8'));
  } catch (error) {
    const reason = `the .env file of the working directory cannot be read: ${describeError(error)}`;
    throw new CatalogueError('CONFIG_INVALID', { params: { reason }, cause: error });
  }
}

/** The settings that can be given by other names too, with those names. */
function otherNames(): [name: string, others: readonly string[]][] {
  const secrets = Object.entries<Option<unknown>>(options).filter(([, option]) => option.secret === true);
  return [
    ...secrets.map(([name]): [string, string[]] => [name, [`${name}_FILE`]]),
    ['REDIS_URL', ['REDIS_HOST']],
    ['REDIS_URL_FILE', ['REDIS_URL', 'REDIS_HOST']],
    ['DATABASE_URL', ['DB_HOST']],
    ['DATABASE_URL_FILE', ['DATABASE_URL', 'DB_HOST']],
  ];
}

/** An empty variable counts as not set: that is how compose files and shells leave things out. */
function isGiven(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

/** Throws `CatalogueError` `CONFIG_INVALID` that names every setting that is wrong, in one sentence each. */
export function loadConfig(environment: Environment): Config {
  const problems: string[] = [];
  const settings = parseSettings(environment, problems);
  const backend = chooseBackend(settings, problems);
  if (settings.DB_COMMIT_TIMEOUT_MS >= settings.FENCE_MS) {
    problems.push('DB_COMMIT_TIMEOUT_MS must be below FENCE_MS');
  }
  if (problems.length > 0 || backend === undefined) {
    throw new CatalogueError('CONFIG_INVALID', { params: { reason: problems.join('; ') } });
  }
  return { settings, backend };
}

function parseSettings(environment: Environment, problems: string[]): Settings {
  const parsed = Object.entries<Option<unknown>>(options).map(([name, option]) => {
    const fallback: [string, unknown] = [name, option.default];
    try {
      const given = readGiven(name, option, environment);
      return given === undefined ? fallback : [name, option.parse(given)];
    } catch (error) {
      problems.push(`${name} ${describeError(error)}`);
      return fallback;
    }
  });
  // One entry per option, each parsed by its own option: exactly what `Settings` says.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(parsed) as Settings;
}

function readGiven(name: string, option: Option<unknown>, environment: Environment): string | undefined {
  const given = environment[name];
  if (isGiven(given)) return given;
  const file = option.secret === true ? environment[`${name}_FILE`] : undefined;
  if (!isGiven(file)) return undefined;
  try {
    const held = readFileSync(file, 'utf8').trim();
    // As with a variable: an empty secret would be one that everybody knows.
    return isGiven(held) ? held : undefined;
  } catch {
    throw new Error(`cannot be read: ${name}_FILE names a file that does not exist or may not be read`);
  }
}

function chooseBackend(settings: Settings, problems: string[]): Backend | undefined {
  const redis = redisAddress(settings, problems);
  const database = databaseAddress(settings, problems);
  if (redis !== undefined && database !== undefined) return { kind: 'servers', redis, database };
  if (redis === undefined && database === undefined && settings.NODE_ENV !== 'production') {
    return { kind: 'embedded', location: settings.EMBEDDED_DATA ?? ':memory:' };
  }
  const hint =
    settings.NODE_ENV === 'production'
      ? 'is missing and NODE_ENV is production'
      : 'is missing (set both, or neither for the embedded default)';
  // A URL that is there and wrong has been told of already.
  const isMissing = (url: string): boolean => !problems.some((problem) => problem.startsWith(`${url} `));
  if (redis === undefined && isMissing('REDIS_URL')) problems.push(`REDIS_HOST (or REDIS_URL) ${hint}`);
  if (database === undefined && isMissing('DATABASE_URL')) problems.push(`DB_HOST (or DATABASE_URL) ${hint}`);
  return undefined;
}

function redisAddress(settings: Settings, problems: string[]): RedisAddress | undefined {
  const { REDIS_URL: address, REDIS_HOST: host, REDIS_PASSWORD: password } = settings;
  if (address === undefined) {
    if (host === undefined) return undefined;
    return { host, port: settings.REDIS_PORT, ...(password === undefined ? {} : { password }) };
  }
  const db = address.pathname.replace('/', '');
  if (!/^\d{0,3}$/.test(db)) problems.push('REDIS_URL must end with a database number or nothing after the port');
  return {
    host: hostOf(address),
    port: Number(address.port || 6379),
    ...(address.username === '' ? {} : { username: decodeURIComponent(address.username) }),
    ...(address.password === '' ? {} : { password: decodeURIComponent(address.password) }),
    ...(db === '' ? {} : { db: Number(db) }),
    ...(address.protocol === 'rediss:' ? { tls: {} } : {}),
  };
}

function databaseAddress(settings: Settings, problems: string[]): DatabaseAddress | undefined {
  const { DATABASE_URL: address, DB_HOST: host } = settings;
  if (address === undefined) {
    if (host === undefined) return undefined;
    return {
      host,
      port: settings.DB_PORT,
      user: settings.DB_USERNAME,
      password: settings.DB_PASSWORD,
      database: settings.DB_DATABASE,
    };
  }
  const database = decodeURIComponent(address.pathname.slice(1));
  if (database === '') problems.push('DATABASE_URL must name the database after the port');
  return {
    host: hostOf(address),
    port: Number(address.port || 3306),
    user: decodeURIComponent(address.username),
    password: decodeURIComponent(address.password),
    database,
  };
}

/** An IPv6 address has brackets in a URL and none in a socket address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}
