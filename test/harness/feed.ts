import { Redis } from 'ioredis';
import type { Connection } from 'mysql2/promise';
import { Cache } from '../../src/cache/cache.ts';
import { systemClock } from '../../src/cache/clock.ts';
import { type FeedEvent, feedChannel } from '../../src/change-feed/channels.ts';
import { type FeedParts, openFeed } from '../../src/change-feed/feed.ts';
import type { Follower } from '../../src/change-feed/follower.ts';
import { migrate } from '../../src/database/migrate.ts';
import type { MysqlDatabase } from '../../src/database/mysql.ts';
import { DatabaseOutbox } from '../../src/database/outbox.ts';
import { RedisCheckpoint } from '../../src/redis/feed-checkpoint.ts';
import type { RedisStore } from '../../src/redis/store.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { ResourceReader } from '../../src/resources/reader.ts';
import type { DatabaseSchema } from './database-schema.ts';
import { createSchema } from './database-schema.ts';
import type { DatabaseServerAddress } from './database-server.ts';
import { dial, openMysql } from './databases.ts';
import { eventually } from './eventually.ts';
import { MemoryEvents } from './memory-events.ts';
import type { RedisServer } from './redis-server.ts';
import { openRedisStore, trusted } from './redis-store.ts';

/** A cache over real servers, another program that writes to the tables, and feeds that follow it. */
export class FeedStage {
  readonly schema: DatabaseSchema;
  readonly database: MysqlDatabase;
  readonly store: RedisStore;
  readonly cache: Cache;
  readonly reader: ResourceReader;
  readonly redis: Redis;
  readonly events = new MemoryEvents();
  /** What the feeds have published. */
  readonly published: FeedEvent[] = [];
  /** Another program. */
  readonly other: Connection;
  readonly #feeds: Follower[] = [];
  readonly #note = (message: unknown): void => void this.published.push(message as FeedEvent);

  private constructor(schema: DatabaseSchema, other: Connection, redis: RedisServer) {
    this.schema = schema;
    this.other = other;
    this.database = openMysql(schema);
    this.redis = new Redis(redis.url);
    this.redis.on('error', () => undefined);
    this.store = openRedisStore(redis, { origin: () => this.database.origin });
    this.cache = new Cache(this.store, new DatabaseOutbox(this.database), systemClock, {
      leaseMs: 5_000,
      fenceMs: 30_000,
      withoutStore: 'accept',
      memoryBytes: 10_000_000,
      auditShare: 0,
      sweepMs: 1_000,
    });
    this.reader = new ResourceReader(posts, this.cache, this.database);
    feedChannel.subscribe(this.#note);
  }

  static async open(server: DatabaseServerAddress, redis: RedisServer): Promise<FeedStage> {
    const schema = await createSchema(server);
    const stage = new FeedStage(schema, await dial(schema), redis);
    await migrate(stage.database);
    await stage.other.query("SET time_zone = '+00:00'");
    await stage.other.query(
      "INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p'), (2, 'Bob', 'b@x', 'p')",
    );
    await trusted(stage.store);
    return stage;
  }

  /** A feed of one instance, by way of `through` when the network is to be made to fail. */
  feed(more: Partial<FeedParts> = {}, through: { host: string; port: number } = this.schema): Follower {
    const { schema, database, cache, store, events } = this;
    const feed = openFeed({
      settings: { CHANGE_FEED: 'binlog', FEED_FENCE_MS: 100, FEED_POLL_MS: 20, FEED_SERVER_ID: 0 },
      server: {
        host: through.host,
        port: through.port,
        user: schema.username,
        password: schema.password,
        database: schema.name,
      },
      resources: [posts],
      cache,
      database,
      checkpoint: new RedisCheckpoint(store),
      events,
      clock: systemClock,
      ...more,
    });
    if (feed === undefined) throw new Error('there is no feed');
    this.#feeds.push(feed);
    feed.start();
    return feed;
  }

  async following(feed: Follower): Promise<void> {
    await eventually(async () => feed.state.name === 'following');
  }

  /** What a reader is shown of a post, and where it came from; `null` when there is none. */
  async show(id: number): Promise<{ title: string; user: { name: string } } | null> {
    return JSON.parse((await this.reader.readItem(String(id))).value.toString());
  }

  async showAll(): Promise<readonly { id: number; title: string; user: { name: string } | null }[]> {
    return JSON.parse((await this.reader.readAll()).value.toString());
  }

  /** What was published of one kind. */
  of<T extends FeedEvent['type']>(type: T): Extract<FeedEvent, { type: T }>[] {
    return this.published.filter((event): event is Extract<FeedEvent, { type: T }> => event.type === type);
  }

  async addPosts(first: number, count: number, userId = 1): Promise<void> {
    const rows = Array.from({ length: count }, (_, index) => [first + index, `Title ${first + index}`, 'c', userId]);
    await this.other.query('INSERT INTO posts (id, title, content, user_id) VALUES ?', [rows]);
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) await feed.stop();
    feedChannel.unsubscribe(this.#note);
    this.other.destroy();
    await this.cache.close();
    await this.store.close();
    this.redis.disconnect();
    await this.database.close();
    await this.schema.drop().catch(() => undefined);
  }
}
