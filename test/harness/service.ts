import { pino } from 'pino';
import { loadConfig } from '../../src/config.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { startServer } from '../../src/server.ts';
import { createSchema, type DatabaseSchema } from './database-schema.ts';
import { checkAnswer } from './openapi-check.ts';
import { type RedisServer, startRedis } from './redis-server.ts';
import { sharedDatabases } from './shared-servers.ts';

export { eventually } from './eventually.ts';

/** What a service runs on: nothing (the embedded default), or a real Redis and a schema of its own on a real database. */
export type Backend = {
  readonly environment: Readonly<Record<string, string>>;
  readonly redis?: RedisServer;
  readonly schema?: DatabaseSchema;
  stop(): Promise<void>;
};

/** For `describe.each`: the embedded default and every database server of this run, each with a real Redis. */
export const backends: readonly { readonly name: string; start(): Promise<Backend> }[] = [
  { name: 'embedded', start: async () => ({ environment: {}, stop: async () => undefined }) },
  ...sharedDatabases().map((server) => ({
    name: `${server.flavour} ${server.version} and Redis`,
    start: async (): Promise<Backend> => {
      const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
      return {
        environment: environmentOf(redis, schema),
        redis,
        schema,
        stop: async () => {
          await Promise.all([redis.stop(), schema.drop()]);
        },
      };
    },
  })),
];

export function environmentOf(redis: Pick<RedisServer, 'url'>, schema: DatabaseSchema): Record<string, string> {
  return {
    REDIS_URL: redis.url,
    // Tests share two cores with their servers: only those about deadlines want them short.
    REDIS_TIMEOUT_MS: '1000',
    DB_HOST: schema.host,
    DB_PORT: String(schema.port),
    DB_USERNAME: schema.username,
    DB_PASSWORD: schema.password,
    DB_DATABASE: schema.name,
  };
}

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
    request,
    get: (path, headers) => request('GET', path, undefined, headers),
    stop: server.stop,
  };
}
