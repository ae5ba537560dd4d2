import { Cache, type CacheOptions } from '../../src/cache/cache.ts';
import { systemClock } from '../../src/cache/clock.ts';
import { MemoryStore } from '../../src/cache/memory-store.ts';
import type { Database, SqlValue } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { DatabaseOutbox } from '../../src/database/outbox.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { ResourceReader } from '../../src/resources/reader.ts';
import type { Resource } from '../../src/resources/resource.ts';
import type { ChangeSink } from '../../src/resources/row-events.ts';
import { ResourceWriter } from '../../src/resources/writer.ts';
import { CuttableStore } from './engine.ts';

/** The real engine, over its in-process store, in front of a database; what its resources publish is kept. */
export function openResource(
  database: Database,
  resource: Resource = posts,
  options: Partial<CacheOptions> = {},
  store = new CuttableStore(new MemoryStore({ maxBytes: 10_000_000, now: systemClock.now, runId: 'run' })),
) {
  const outbox = new DatabaseOutbox(database);
  const cache = new Cache(store, outbox, systemClock, {
    leaseMs: 5_000,
    fenceMs: 30_000,
    withoutStore: 'accept',
    memoryBytes: 1_000_000,
    auditShare: 0,
    sweepMs: 600_000,
    ...options,
  });
  const events: { event: string; data: unknown }[] = [];
  const changes: ChangeSink = {
    reserve: async () => undefined,
    publish: async ({ event, data }) => void events.push({ event, data: JSON.parse(data) }),
  };
  const reader = new ResourceReader(resource, cache, database);
  const writer = new ResourceWriter(resource, cache, database, changes);
  return { store, outbox, cache, events, reader, writer };
}

/** Creates the tables and one user; resolves with the user's id. */
export async function prepareTables(database: Database): Promise<string> {
  await migrate(database);
  return addUser(database, 'Ada');
}

export async function addUser(database: Database, name: string): Promise<string> {
  const { insertId } = await database.execute("INSERT INTO users (name, email, password) VALUES (?, ?, '!')", [
    name,
    `${name}@example.com`,
  ]);
  return insertId;
}

/** Adds a post behind the back of the service. */
export async function addPost(
  database: Database,
  userId: string,
  title: string,
  createdAt: SqlValue = '2025-01-01 00:00:00',
): Promise<string> {
  const { insertId } = await database.execute(
    `INSERT INTO posts (title, content, user_id, created_at, updated_at) VALUES (?, 'content', ${database.dialect.integer}, ?, ?)`,
    [title, userId, createdAt, createdAt],
  );
  return insertId;
}

/** Any entity tag will do. */
export const always = (): boolean => true;
