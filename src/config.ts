import { existsSync, readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { CatalogueError, describeError } from './errors.ts';
import { problemsOfSecrets, problemsOfTokens } from './access-settings.ts';
import type { Address, Option } from './option-kinds.ts';
import { options, type Settings } from './options.ts';
import { databaseTls, present, redisTls, type Tls } from './tls-settings.ts';

/** The settings of `options.ts` as they were given, checked. This is the only module that reads the environment. */

export type Environment = Readonly<Record<string, string | undefined>>;

/** One server, the master that Sentinels tell of, or a cluster of which some nodes are known. */
export type RedisAddress = RedisAccess &
  (
    | ({ readonly kind: 'single' } & Address)
    | {
        readonly kind: 'sentinel';
        readonly sentinels: readonly Address[];
        readonly master: string;
        readonly sentinelUsername?: string;
        readonly sentinelPassword?: string;
        readonly sentinelTls?: Tls;
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly Address[] }
  );

interface RedisAccess {
  /** What all keys there begin with. */
  readonly prefix?: string;
  readonly username?: string;
  readonly password?: string;
  readonly db?: number;
  readonly tls?: Tls;
}

export interface DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly tls?: Tls;
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
    ['REDIS_HOST', ['REDIS_SENTINELS', 'REDIS_CLUSTER_NODES']],
    ['REDIS_URL', ['REDIS_HOST', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES']],
    ['REDIS_URL_FILE', ['REDIS_URL', 'REDIS_HOST', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES']],
    ['REDIS_SENTINELS', ['REDIS_URL', 'REDIS_HOST', 'REDIS_CLUSTER_NODES']],
    ['REDIS_CLUSTER_NODES', ['REDIS_URL', 'REDIS_HOST', 'REDIS_SENTINELS']],
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
  const { problems, settings, backend } = checkConfig(environment);
  if (problems.length > 0 || backend === undefined) {
    throw new CatalogueError('CONFIG_INVALID', { params: { reason: problems.join('; ') } });
  }
  return { settings, backend };
}

/** The settings with what is wrong about them, one sentence each; a setting that is wrong has its default. */
export function checkConfig(environment: Environment): {
  readonly settings: Settings;
  readonly backend: Backend | undefined;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const settings = parseSettings(environment, problems);
  const backend = chooseBackend(settings, problems);
  if (settings.DB_COMMIT_TIMEOUT_MS >= settings.FENCE_MS) {
    problems.push('DB_COMMIT_TIMEOUT_MS must be below FENCE_MS');
  }
  if (settings.CHANGE_FEED !== 'off' && backend?.kind === 'embedded') {
    problems.push('CHANGE_FEED must be off with the embedded default: set REDIS_HOST and DB_HOST to use servers');
  }
  problems.push(...problemsOfSecrets(settings), ...problemsOfTokens(settings));
  if (
    settings.INTERNAL_PORT !== undefined &&
    settings.INTERNAL_PORT !== 0 &&
    settings.INTERNAL_PORT === settings.PORT
  ) {
    problems.push('INTERNAL_PORT must be another port than PORT');
  }
  return { settings, backend, problems };
}

/** Where the value of a setting comes from: `environment`, `.env`, `default`, or the name of the file that holds a secret. */
export function sourceOf(name: string, environment: Environment): string {
  const option = Object.entries<Option<unknown>>(options).find(([each]) => each === name)?.[1];
  if (isGiven(environment[name])) return process.env[name] === environment[name] ? 'environment' : '.env';
  const file = environment[`${name}_FILE`];
  return option?.secret === true && isGiven(file) ? file : 'default';
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
  const isMissing = (...names: string[]): boolean =>
    !problems.some((problem) => names.some((name) => problem.startsWith(`${name} `)));
  if (redis === undefined && isMissing('REDIS_URL', 'REDIS_SENTINELS', 'REDIS_CLUSTER_NODES'))
    problems.push(`REDIS_HOST (or REDIS_URL) ${hint}`);
  if (database === undefined && isMissing('DATABASE_URL')) problems.push(`DB_HOST (or DATABASE_URL) ${hint}`);
  return undefined;
}

function redisAddress(settings: Settings, problems: string[]): RedisAddress | undefined {
  const { REDIS_URL: url, REDIS_HOST: host, REDIS_SENTINELS: sentinels, REDIS_CLUSTER_NODES: nodes } = settings;
  const ways = Object.entries({
    REDIS_SENTINELS: sentinels,
    REDIS_CLUSTER_NODES: nodes,
    'REDIS_HOST or REDIS_URL': url ?? host,
  });
  const [first, second] = ways.filter(([, value]) => value !== undefined).map(([name]) => name);
  if (second !== undefined) problems.push(`${first} excludes ${second}: set one of them`);
  const tls = redisTls(settings, problems);
  const prefix = settings.REDIS_KEY_PREFIX === '' ? {} : { prefix: settings.REDIS_KEY_PREFIX };
  const access = { ...prefix, ...redisAccess(settings, tls) };
  if (sentinels !== undefined) return { kind: 'sentinel', sentinels, ...access, ...sentinelAccess(settings, tls) };
  if (nodes !== undefined) return { kind: 'cluster', nodes, ...access };
  if (url !== undefined) return { ...redisUrl(url, tls, problems), ...prefix };
  return host === undefined ? undefined : { kind: 'single', host, port: settings.REDIS_PORT, ...access };
}

function redisAccess(
  { REDIS_USERNAME: username, REDIS_PASSWORD: password, REDIS_TLS }: Settings,
  tls: Tls,
): RedisAccess {
  return present({ username, password, tls: REDIS_TLS === 'on' ? tls : undefined });
}

function sentinelAccess(
  {
    REDIS_SENTINEL_NAME: master,
    REDIS_SENTINEL_USERNAME: sentinelUsername,
    REDIS_SENTINEL_PASSWORD: sentinelPassword,
    REDIS_SENTINEL_TLS,
    REDIS_TLS,
  }: Settings,
  tls: Tls,
): Omit<Extract<RedisAddress, { kind: 'sentinel' }>, 'kind' | 'sentinels'> {
  const isTls = (REDIS_SENTINEL_TLS === 'as-redis' ? REDIS_TLS : REDIS_SENTINEL_TLS) === 'on';
  return { master, ...present({ sentinelUsername, sentinelPassword, sentinelTls: isTls ? tls : undefined }) };
}

function redisUrl(address: URL, tls: Tls, problems: string[]): RedisAddress {
  const db = address.pathname.replace('/', '');
  if (!/^\d{0,3}$/.test(db)) problems.push('REDIS_URL must end with a database number or nothing after the port');
  return {
    kind: 'single',
    host: hostOf(address),
    port: Number(address.port || 6379),
    ...(address.username === '' ? {} : { username: decodeURIComponent(address.username) }),
    ...(address.password === '' ? {} : { password: decodeURIComponent(address.password) }),
    ...(db === '' ? {} : { db: Number(db) }),
    ...(address.protocol === 'rediss:' ? { tls } : {}),
  };
}

function databaseAddress(settings: Settings, problems: string[]): DatabaseAddress | undefined {
  const { DATABASE_URL: address, DB_HOST: host } = settings;
  const access = present({ tls: databaseTls(settings, problems) });
  if (address === undefined) {
    if (host === undefined) return undefined;
    return {
      host,
      port: settings.DB_PORT,
      user: settings.DB_USERNAME,
      password: settings.DB_PASSWORD,
      database: settings.DB_DATABASE,
      ...access,
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
    ...access,
  };
}

/** An IPv6 address has brackets in a URL and none in a socket address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}
