import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Follower } from '../../src/change-feed/follower.ts';
import { type DatabaseServerAddress, startDatabaseServer } from '../harness/database-server.ts';
import { nameOf } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { FeedStage } from '../harness/feed.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

type Opened = DatabaseServerAddress & { stop?: () => Promise<void> };

const servers: { name: string; logsCascades: boolean; open: () => Promise<Opened> }[] = [
  ...sharedDatabases().map((server) => ({
    name: nameOf(server),
    logsCascades: server.flavour === 'mysql',
    open: async () => server,
  })),
  {
    name: 'mysql with the foreign keys of InnoDB, and without global ids',
    logsCascades: false,
    open: () =>
      startDatabaseServer('mysql', {
        config: ['--innodb-native-foreign-keys=ON', '--gtid-mode=OFF', '--enforce-gtid-consistency=OFF'],
      }),
  },
];

describe.each(servers)('the feed of $name', ({ open, logsCascades }) => {
  let leaks: LeakCheck;
  let server: Opened;
  let redis: RedisServer;
  let stage: FeedStage;
  let feed: Follower;

  beforeAll(async () => {
    leaks = trackLeaks();
    [server, redis] = await Promise.all([open(), startRedis()]);
  });
  beforeEach(async () => {
    stage = await FeedStage.open(server, redis);
    await stage.redis.flushall();
    feed = stage.feed();
    await stage.following(feed);
    stage.events.renewals = 0;
  });
  afterEach(() => stage.close());
  afterAll(async () => {
    await redis.stop();
    await server.stop?.();
    await leaks.check();
  });

  test('another program inserts, updates and deletes: readers see it when the browsers hear it', async () => {
    expect([await stage.show(5), await stage.showAll()]).toEqual([null, []]);
    await stage.addPosts(5, 1);
    await eventually(async () => stage.events.heard.length === 1);
    expect((await stage.show(5))?.title).toBe('Title 5');
    expect(await stage.showAll()).toHaveLength(1);
    await stage.other.query("UPDATE posts SET title = 'new', updated_at = '2025-01-01 00:00:01' WHERE id = 5");
    await eventually(async () => stage.events.heard.length === 2);
    expect((await stage.show(5))?.title).toBe('new');
    expect(JSON.parse(stage.events.heard[1]?.data ?? '')).toEqual(await stage.show(5));
    expect(stage.events.heard[1]?.rooms).toEqual(['posts', 'post:5']);
    await stage.other.query('UPDATE posts SET id = 6 WHERE id = 5');
    await eventually(async () => stage.events.heard.length === 4);
    expect([await stage.show(5), (await stage.show(6))?.title]).toEqual([null, 'new']);
    await stage.other.query('DELETE FROM posts');
    await eventually(async () => stage.events.heard.length === 5);
    expect([await stage.show(6), await stage.showAll()]).toEqual([null, []]);
    expect(stage.events.told).toEqual([
      'new_post 5',
      'post_updated 5',
      'post_deleted 5',
      'new_post 6',
      'post_deleted 6',
    ]);
    expect(stage.events.heard.at(-1)?.data).toBe('{"id":6}');
    expect(stage.events.renewals).toBe(0);
  });

  test('a changed author is seen in all rows that show it, however many; what is not shown does not matter', async () => {
    await stage.addPosts(1, 1_200);
    await stage.addPosts(2_000, 1, 2);
    await eventually(async () => stage.events.heard.length === 1_201);
    await eventually(async () => {
      await Promise.all([stage.show(1), stage.show(1_200), stage.show(2_000), stage.showAll()]);
      return (await stage.store.validate('posts:all')) !== null && (await stage.store.validate('post:1200')) !== null;
    });
    const kept = await stage.store.validate('post:1');
    await stage.other.query("UPDATE users SET password = 'other' WHERE id = 1");
    await stage.other.query("UPDATE users SET name = 'Bobby' WHERE id = 2");
    await eventually(async () => (await stage.show(2_000))?.user.name === 'Bobby');
    expect(await stage.store.validate('post:1')).toBe(kept);
    await stage.other.query("UPDATE users SET name = 'Countess' WHERE id = 1");
    await eventually(async () => (await stage.show(1_200))?.user.name === 'Countess');
    await eventually(async () => (await stage.showAll()).every(({ user }) => user?.name !== 'Ada'));
    expect((await stage.show(1))?.user.name).toBe('Countess');
  });

  test('rows that a foreign key deletes are gone, and the browsers hear of each, or that they must read anew', async () => {
    await stage.addPosts(1, 3);
    await stage.addPosts(9, 1, 2);
    await eventually(async () => stage.events.heard.length === 4);
    await eventually(async () => {
      await Promise.all([1, 2, 3, 9].map((id) => stage.show(id)));
      return (await stage.store.validate('post:3')) !== null;
    });
    await stage.other.query('DELETE FROM users WHERE id = 1');
    await eventually(async () => (await stage.show(3)) === null && (await stage.showAll()).length === 1);
    expect([await stage.show(1), await stage.show(2), (await stage.show(9))?.title]).toEqual([null, null, 'Title 9']);
    if (logsCascades) {
      await eventually(async () => stage.events.heard.length === 7);
      expect(stage.events.told.slice(4).toSorted()).toEqual(['post_deleted 1', 'post_deleted 2', 'post_deleted 3']);
      expect(stage.events.renewals).toBe(0);
    } else {
      await eventually(async () => stage.events.renewals === 1);
      expect(stage.events.heard).toHaveLength(4);
    }
  });

  test('TRUNCATE and DDL invalidate all of the table, and the feed reads on with the new columns', async () => {
    await stage.addPosts(1, 2);
    await eventually(async () => stage.events.heard.length === 2);
    await eventually(async () => {
      await Promise.all([stage.show(1), stage.showAll()]);
      return (await stage.store.validate('post:1')) !== null && (await stage.store.validate('posts:all')) !== null;
    });
    await stage.other.query('TRUNCATE TABLE posts');
    await eventually(async () => (await stage.show(1)) === null && (await stage.showAll()).length === 0);
    await eventually(async () => stage.events.renewals === 1);
    await stage.other.query('ALTER TABLE posts ADD COLUMN likes INT NOT NULL DEFAULT 0 FIRST');
    await stage.addPosts(7, 1);
    await eventually(async () => stage.events.told.at(-1) === 'new_post 7');
    expect((await stage.show(7))?.title).toBe('Title 7');
    await stage.other.query('UPDATE posts SET likes = 1');
    await stage.addPosts(8, 1);
    await eventually(async () => stage.events.told.at(-1) === 'new_post 8');
    // What is not shown makes no event.
    expect(stage.events.told.slice(-2)).toEqual(['new_post 7', 'new_post 8']);
    expect(stage.of('cleared').map(({ resource }) => resource)).toEqual(['posts', 'posts', 'posts']);
  });

  test('a transaction of 20,000 rows is told of completely, in order, and nothing of before is left', async () => {
    await stage.addPosts(1, 20_000);
    await eventually(async () => stage.events.heard.length === 20_000);
    await eventually(async () => {
      await Promise.all([stage.show(1), stage.show(20_000)]);
      return (await stage.store.validate('post:20000')) !== null;
    });
    await stage.other.query("UPDATE posts SET title = CONCAT('new ', id)");
    await eventually(async () => stage.events.heard.length === 40_000);
    expect(stage.events.told.slice(20_000)).toEqual(
      Array.from({ length: 20_000 }, (_, index) => `post_updated ${index + 1}`),
    );
    expect([(await stage.show(1))?.title, (await stage.show(20_000))?.title]).toEqual(['new 1', 'new 20000']);
  });

  test('10,000 rows that were written while no instance was there: nothing is stale, no event is missing', async () => {
    await stage.addPosts(1, 100);
    await eventually(async () => stage.events.heard.length === 100);
    await eventually(async () => {
      await stage.show(1);
      return (await stage.store.validate('post:1')) !== null;
    });
    await feed.stop();
    for (let part = 0; part < 10; part += 1) await stage.addPosts(1_000 + part * 1_000, 1_000);
    await stage.other.query("UPDATE posts SET title = 'changed meanwhile' WHERE id = 1");
    expect((await stage.show(1))?.title).toBe('Title 1');
    feed = stage.feed();
    await eventually(async () => stage.events.heard.length === 10_101);
    expect((await stage.show(1))?.title).toBe('changed meanwhile');
    expect(stage.events.told.slice(100)).toEqual([
      ...Array.from({ length: 10_000 }, (_, index) => `new_post ${1_000 + index}`),
      'post_updated 1',
    ]);
    expect(stage.events.renewals).toBe(0);
    expect(stage.of('started-over')).toHaveLength(1);
  });
});
