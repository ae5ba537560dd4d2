import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import { Redis } from 'ioredis';
import { cacheChannel } from '../../src/cache/channels.ts';
import type { Database, SqlValue } from '../../src/database/database.ts';
import { SqliteDatabase } from '../../src/database/sqlite.ts';
import type { Resource } from '../../src/resources/resource.ts';
import { openMysql } from './databases.ts';
import { trackLeaks } from './leaks.ts';
import {
  type Backend,
  backends,
  environmentOf,
  eventually,
  type Service,
  startService,
  withoutShedding,
} from './service.ts';
import { startProxy, type TcpProxy } from './tcp-proxy.ts';

export type StageOptions = {
  /** Over what the backend says; see `docs/configuration.md`. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly resources?: readonly Resource[];
  readonly log?: { write(line: string): void };
};

/** A backend, and services on it, one for each test. */
export type Stage = {
  /** A way to the tables past the service, as another program has it. */
  readonly database: Database;
  /** A way to the keys past the service; there is none on the embedded default, and none to more than one server. */
  readonly redis: Redis | undefined;
  /** A fresh service over empty tables and an empty cache, ready for requests. `open` stops the one before. */
  open(options?: StageOptions): Promise<Service>;
  /** One more service beside it, over the same tables and the same cache. */
  beside(options?: StageOptions): Promise<Service>;
  /** The same, by way of proxies whose network can be made to fail. Not on the embedded default. */
  behindProxies(options?: StageOptions): Promise<{ service: Service; toRedis: TcpProxy; toDatabase: TcpProxy }>;
  /** Stops everything and removes the data. */
  close(): Promise<void>;
};

/** A stage on every backend. */
export const stages: readonly { readonly name: string; start(): Promise<Stage> }[] = backends.map(
  ({ name, start }) => ({
    name,
    start: async () => startStage(await start()),
  }),
);

/** The embedded default, for what is decided before any server is asked. */
export const embeddedStage = stages.filter(({ name }) => name === 'embedded');

/** Those with a real Redis and a real database. */
export const serverStages = stages.filter(({ name }) => name !== 'embedded');

/** What a test of `describeService` has in hand. */
export type OnStage = {
  readonly stage: Stage;
  /** Fresh for each test, with two users and no post. */
  readonly service: Service;
  /** Past the service. */
  readonly database: Database;
};

/** One `describe` for each stage; what is left open at its end fails it. */
export function describeService(
  title: string,
  options: StageOptions & { readonly on?: typeof stages },
  define: (given: OnStage) => void,
): void {
  describe.each(options.on ?? stages)(`${title} ($name)`, ({ start }) => {
    let leaks: ReturnType<typeof trackLeaks> | undefined;
    let stage: Stage | undefined;
    let service: Service | undefined;

    beforeAll(async () => {
      leaks = trackLeaks();
      stage = await start();
    });
    beforeEach(async () => {
      service = await present(stage).open(options);
      await insertUsers(present(stage).database);
    });
    afterAll(async () => {
      await stage?.close();
      await leaks?.check();
    });

    define({
      get stage() {
        return present(stage);
      },
      get service() {
        return present(service);
      },
      get database() {
        return present(stage).database;
      },
    });
  });
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('not there before the first test begins');
  return value;
}

async function startStage(backend: Backend): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-stage-'));
  const file = join(folder, 'data.sqlite');
  const { schema } = backend;
  const environment = schema === undefined ? { EMBEDDED_DATA: file } : backend.environment;
  const database = schema === undefined ? new SqliteDatabase({ location: file, queueLimit: 100 }) : openMysql(schema);
  const redis = backend.redis === undefined ? undefined : new Redis(backend.redis.url);
  const running: Service[] = [];
  const proxies: TcpProxy[] = [];
  const stopAll = async (): Promise<void> => {
    for (const service of running.splice(0)) await service.stop();
    for (const proxy of proxies.splice(0)) await proxy.close();
  };
  const beside = async (options: StageOptions = {}): Promise<Service> => {
    let storeIsUp = schema === undefined;
    const note = (message: unknown): void => {
      const { type, up } = Object(message);
      if (type === 'store' && up === true) storeIsUp = true;
    };
    cacheChannel.subscribe(note);
    try {
      // Deadlines that a busy machine does not miss; tests of deadlines set their own.
      const service = await startService({ ...patient, ...environment, ...options.environment }, options);
      running.push(service);
      // Until then reads go past the cache, while the service is healthy already.
      await eventually(async () => storeIsUp && (await isReady(service)));
      return service;
    } finally {
      cacheChannel.unsubscribe(note);
    }
  };
  return {
    database,
    redis,
    beside,
    open: async (options) => {
      await stopAll();
      const service = await beside(options);
      for (const table of ['posts', 'users', 'cache_idempotency_keys', 'cache_outbox']) {
        await database.execute(`DELETE FROM ${table}`);
      }
      await database.execute(
        schema === undefined ? 'DELETE FROM sqlite_sequence' : 'ALTER TABLE posts AUTO_INCREMENT = 1',
      );
      await backend.flush();
      return service;
    },
    behindProxies: async (options) => {
      if (backend.redis === undefined || schema === undefined) throw new Error('there are no servers to stand before');
      const [toRedis, toDatabase] = await Promise.all([startProxy(backend.redis), startProxy(schema)]);
      proxies.push(toRedis, toDatabase);
      const url = new URL(backend.redis.url);
      url.host = `${toRedis.host}:${toRedis.port}`;
      const { host, port } = toDatabase;
      const behind = environmentOf({ url: url.href }, { ...schema, host, port });
      return {
        toRedis,
        toDatabase,
        service: await beside({ ...options, environment: { ...behind, ...options?.environment } }),
      };
    },
    close: async () => {
      await stopAll();
      redis?.disconnect();
      await database.close();
      await backend.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** All servers are in use, each node of a cluster too. */
async function isReady(service: Service): Promise<boolean> {
  // With an internal listener the probes are there and nowhere else.
  const probes = service.internalUrl ?? service.url;
  const [health, ready] = await Promise.all([service.get('/cache/health'), fetch(`${probes}/readyz?verbose`)]);
  return health.status === 200 && (await ready.text()).includes('redis ok');
}

const patient = {
  DB_CONNECT_TIMEOUT_MS: '10000',
  DB_ACQUIRE_TIMEOUT_MS: '10000',
  REDIS_TIMEOUT_MS: '5000',
  REDIS_BULK_TIMEOUT_MS: '5000',
  ...withoutShedding,
};

/** Two users; the passwords and the role are what must never be seen. */
export const ada = { id: 1, name: 'Ada Lovelace', email: 'ada@example.com' };
export const grace = { id: 2, name: 'Grace Hopper', email: 'grace@example.com' };

export async function insertUsers(database: Database): Promise<void> {
  for (const { id, name, email } of [ada, grace]) {
    await database.execute(
      "INSERT INTO users (id, name, email, password, role, created_at, updated_at) VALUES (?, ?, ?, 'secret-hash', 'admin', ?, ?)",
      [id, name, email, '2024-12-31 00:00:00', '2024-12-31 00:00:00'],
    );
  }
}

export type PostRow = {
  readonly id: number;
  readonly title?: string;
  readonly content?: string;
  readonly created_at?: string | null;
  readonly updated_at?: string | null;
  readonly user_id?: number;
};

/** Writes a post past the service. Ada's of the first of January 2025, unless said otherwise. */
export async function insertPost(database: Database, row: PostRow): Promise<void> {
  const { id, title = `Title ${id}`, content = `Content ${id}`, user_id: userId = ada.id } = row;
  const { created_at: createdAt = '2025-01-01 00:00:00', updated_at: updatedAt = '2025-01-02 00:00:00' } = row;
  const values: SqlValue[] = [id, title, content, userId, createdAt, updatedAt];
  await database.execute(
    'INSERT INTO posts (id, title, content, user_id, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)',
    values,
  );
}

/** What the service says of a row that `insertPost` wrote without saying more than the id. */
export function standardPost(id: number) {
  return {
    id,
    title: `Title ${id}`,
    content: `Content ${id}`,
    created_at: '2025-01-01T00:00:00Z',
    updated_at: '2025-01-02T00:00:00Z',
    user_id: ada.id,
    user: ada,
  };
}
