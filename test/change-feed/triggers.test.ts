import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { RowDataPacket } from 'mysql2/promise';
import { systemClock } from '../../src/cache/clock.ts';
import type { Follower } from '../../src/change-feed/follower.ts';
import { TriggerSource } from '../../src/change-feed/triggers.ts';
import { migrate } from '../../src/database/migrate.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { defineResource } from '../../src/resources/resource.ts';
import { describeChangeSource } from '../contracts/change-source.ts';
import type { DatabaseServerAddress } from '../harness/database-server.ts';
import { dial, nameOf, openOn } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { FeedStage } from '../harness/feed.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

const shown = new Map([
  ['posts', ['id', 'title', 'content', 'user_id', 'created_at', 'updated_at']],
  ['users', ['id', 'name', 'email']],
]);

for (const server of sharedDatabases()) {
  describeChangeSource(`triggers on ${nameOf(server)}`, async () => {
    const { database, schema, remove } = await openOn(server);
    await migrate(database);
    await database.execute('CREATE TABLE others (id INT PRIMARY KEY, name VARCHAR(20))');
    const address = {
      host: schema.host,
      port: schema.port,
      user: schema.username,
      password: schema.password,
      database: schema.name,
    };
    const source = new TriggerSource({
      server: address,
      database,
      shown,
      clock: systemClock,
      pollMs: 5,
      timeoutMs: 10_000,
    });
    return { source, database, tellsOfTables: false, keepsPlaces: false, close: remove };
  });
}

describe.each(sharedDatabases().map((server) => ({ server, name: nameOf(server) })))(
  'a feed of triggers ($name)',
  ({ server }: { server: DatabaseServerAddress }) => {
    let leaks: LeakCheck;
    let redis: RedisServer;
    let stage: FeedStage;
    let feed: Follower;
    const settings = { CHANGE_FEED: 'triggers', FEED_FENCE_MS: 50, FEED_POLL_MS: 20, FEED_SERVER_ID: 0 } as const;

    beforeAll(async () => {
      leaks = trackLeaks();
      redis = await startRedis();
    });
    beforeEach(async () => {
      stage = await FeedStage.open(server, redis);
      await stage.redis.flushall();
      feed = stage.feed({ settings });
      await stage.following(feed);
      stage.events.renewals = 0;
    });
    afterEach(() => stage.close());
    afterAll(async () => {
      await redis.stop();
      await leaks.check();
    });

    test('another program writes: readers see it, the browsers hear it, and nothing is left in the table', async () => {
      await stage.addPosts(1, 2);
      await eventually(async () => stage.events.heard.length === 2);
      expect(JSON.parse(stage.events.heard[0]?.data ?? '')).toEqual(await stage.show(1));
      await stage.other.query("UPDATE posts SET title = 'TITLE 1' WHERE id = 1");
      await eventually(async () => stage.events.heard.length === 3);
      expect((await stage.show(1))?.title).toBe('TITLE 1');
      await stage.other.query("UPDATE users SET password = 'other'");
      await stage.other.query("UPDATE users SET name = 'ADA' WHERE id = 1");
      await eventually(async () => (await stage.show(2))?.user.name === 'ADA');
      await stage.other.query('DELETE FROM posts WHERE id = 1');
      await eventually(async () => stage.events.heard.length === 4);
      expect(await stage.show(1)).toBeNull();
      expect(stage.events.told).toEqual(['new_post 1', 'new_post 2', 'post_updated 1', 'post_deleted 1']);
      expect(stage.events.renewals).toBe(0);
      await stage.other.query('DELETE FROM users WHERE id = 1');
      await eventually(async () => stage.events.renewals === 1);
      expect(await stage.show(2)).toBeNull();
      await eventually(async () => {
        const [rows] = await stage.other.query<RowDataPacket[]>('SELECT id FROM cache_changes');
        return rows.length === 0;
      });
    });

    test('a transaction that commits late is not missed, nor what happens while no instance is there', async () => {
      const late = await dial(stage.schema);
      await late.query('START TRANSACTION');
      await late.query("INSERT INTO posts (id, title, content, user_id) VALUES (1, 'late', 'c', 1)");
      await stage.addPosts(2, 1);
      await eventually(async () => stage.events.told.includes('new_post 2'));
      await late.query('COMMIT');
      await eventually(async () => stage.events.told.includes('new_post 1'));
      late.destroy();
      await feed.stop();
      await stage.addPosts(10, 500);
      feed = stage.feed({ settings });
      await eventually(async () => stage.events.heard.length === 502);
      expect(stage.events.renewals).toBe(0);
    });

    test('a definition that shows more makes other triggers', async () => {
      const { embed } = posts;
      if (embed === undefined) throw new Error('posts show their author');
      const names = async (): Promise<string[]> => {
        const rows = await stage.database.query(
          'SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = DATABASE()',
        );
        return rows.map(([name]) => String(name)).toSorted();
      };
      const before = await names();
      await feed.stop();
      const { id, name } = embed.columns;
      if (id === undefined || name === undefined) throw new Error('an author has an id and a name');
      const less = defineResource({ ...posts, embed: { ...embed, columns: { id, name } } });
      feed = stage.feed({ settings, resources: [less] });
      await stage.following(feed);
      const after = await names();
      expect([before.length, after.length]).toEqual([6, 6]);
      expect(after.filter((each) => before.includes(each))).toHaveLength(5);
    });
  },
);
