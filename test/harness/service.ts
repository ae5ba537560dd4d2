import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { startServer } from '../../src/server.ts';
import { createSchema, type DatabaseSchema } from './database-schema.ts';
import { checkAnswer } from './openapi-check.ts';
import type { DatabaseServerAddress } from './database-server.ts';
import { type RedisServer, startRedis, withClient } from './redis-server.ts';
import { chosenTopology } from './redis-under-test.ts';
import { sharedDatabases } from './shared-servers.ts';

export { eventually } from './eventually.ts';

/** What a service runs on: nothing (the embedded default), or a real Redis and a schema of its own on a real database. */
export type Backend = {
  readonly environment: Readonly<Record<string, string>>;
  readonly redis?: RedisServer;
  readonly schema?: DatabaseSchema;
  /** Takes all keys out of Redis, however many servers that is. */
  flush(): Promise<void>;
  stop(): Promise<void>;
};

/**
 * For `describe.each`: the embedded default and every database server of this run, each with a real Redis; or, in a file that
 * has chosen a topology, that and nothing else.
 */
export const backends: readonly { readonly name: string; start(): Promise<Backend> }[] =
  chosenTopology() === undefined
    ? [
        { name: 'embedded', start: async () => ({ environment: {}, flush: noKeys, stop: noKeys }) },
        ...sharedDatabases().map((server) => ({
          name: `${server.flavour} ${server.version} and Redis`,
          start: () => startOnRedis(server),
        })),
      ]
    : sharedDatabases()
        .slice(0, 1)
        .map((server) => ({
          name: `${server.flavour} ${server.version} and ${chosenTopology()?.name}`,
          start: () => startOnTopology(server),
        }));

async function noKeys(): Promise<void> {
  // There are none.
}

async function startOnRedis(server: DatabaseServerAddress): Promise<Backend> {
  const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
  return {
    environment: environmentOf(redis, schema),
    redis,
    schema,
    flush: () => withClient(redis.url, async (client) => void (await client.flushdb())),
    stop: async () => {
      await Promise.all([redis.stop(), schema.drop()]);
    },
  };
}

async function startOnTopology(server: DatabaseServerAddress): Promise<Backend> {
  const topology = chosenTopology();
  if (topology === undefined) throw new Error('no topology was chosen');
  const schema = await createSchema(server);
  const { REDIS_URL: _url, ...environment } = environmentOf({ url: '' }, schema);
  return { environment: { ...environment, ...topology.environment }, schema, flush: topology.flush, stop: schema.drop };
}

export function environmentOf(redis: Pick<RedisServer, 'url'>, schema: DatabaseSchema): Record<string, string> {
  return {
    REDIS_URL: redis.url,
    // Tests share two cores with their servers: only those about deadlines want them short.
    REDIS_TIMEOUT_MS: '1000',
    // Nor is a machine that is busy with other tests an overload.
    ...withoutShedding,
    DB_HOST: schema.host,
    DB_PORT: String(schema.port),
    DB_USERNAME: schema.username,
    DB_PASSWORD: schema.password,
    DB_DATABASE: schema.name,
  };
}

/** Nothing is refused, however late the event loop is. */
export const withoutShedding = { SHED_DELAY_MS: '0', SHED_QUEUE_MS: '0' };

export type Reply = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; fails the test when it is no JSON. */
  readonly json: ReturnType<typeof JSON.parse>;
};

export type Service = {
  readonly url: string;
  readonly port: number;
  /** Where the internal listener is, with `INTERNAL_PORT`. */
  readonly internalUrl: string | undefined;
  /** A string body goes out as it is, anything else as JSON. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  get(path: string, headers?: Record<string, string>): Promise<Reply>;
  stop(): Promise<void>;
};

/**
 * Chance would ask the database for audits when a test counts its queries. Without a log of requests, hits take the fast
 * lane, as they do where speed matters.
 */
const quiet = { NODE_ENV: 'test', HOST: '127.0.0.1', PORT: '0', AUDIT_PER_MILLION: '0', LOG_REQUESTS: 'false' };

/** Starts the service inside this process on a free port of the loopback, with a silent log unless told otherwise. */
export async function startService(
  environment: Readonly<Record<string, string>>,
  options: { resources?: readonly Resource[]; log?: { write(line: string): void } } = {},
): Promise<Service> {
  const config = loadConfig({ ...quiet, ...environment });
  const log = options.log === undefined ? pino({ level: 'silent' }) : pino({ level: 'debug' }, options.log);
  const server = await startServer(
    config,
    log,
    options.resources === undefined ? {} : { resources: options.resources },
  );
  const url = `http://127.0.0.1:${server.port}`;
  const request: Service['request'] = async (method, path, body, headers = {}) => {
    const response = await fetch(url + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    checkAnswer(options.resources, method, path, { status: response.status, headers: response.headers, text });
    return {
      status: response.status,
      headers: response.headers,
      text,
      get json() {
        return JSON.parse(text);
      },
    };
  };
  return {
    url,
    port: server.port,
    internalUrl: server.internalPort === undefined ? undefined : `http://127.0.0.1:${server.internalPort}`,
    request,
    get: (path, headers) => request('GET', path, undefined, headers),
    stop: server.stop,
  };
}
