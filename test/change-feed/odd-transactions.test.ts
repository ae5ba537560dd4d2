import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Connection } from 'mysql2/promise';
import type { Follower } from '../../src/change-feed/follower.ts';
import { dial, nameOf } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { FeedStage } from '../harness/feed.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';

/** Sessions that write to the log what no settings of the server tell of. */

const onMysql = sharedDatabases().filter(({ flavour }) => flavour === 'mysql');

describe.each(sharedDatabases().map((server) => ({ server, name: nameOf(server) })))(
  'odd transactions ($name)',
  ({ server }) => {
    let leaks: LeakCheck;
    let redis: RedisServer;
    let stage: FeedStage;
    let feed: Follower;
    let session: Connection;

    beforeAll(async () => {
      leaks = trackLeaks();
      redis = await startRedis();
    });
    beforeEach(async () => {
      stage = await FeedStage.open(server, redis);
      await stage.redis.flushall();
      await stage.addPosts(1, 2);
      feed = stage.feed();
      await stage.following(feed);
      await stage.show(1);
      stage.events.renewals = 0;
      session = await dial(stage.schema);
    });
    afterEach(async () => {
      session.destroy();
      await stage.close();
    });
    afterAll(async () => {
      await redis.stop();
      await leaks.check();
    });

    /** The new title is seen, and who listens is told to read anew. */
    const isSeen = async (title: string): Promise<void> => {
      await eventually(async () => (await stage.show(1))?.title === title);
      await eventually(async () => stage.events.renewals > 0);
      await stage.following(feed);
      await stage.addPosts(50, 1);
      await eventually(async () => stage.events.told.includes('new_post 50'));
    };

    test('a statement in the log instead of its rows', async () => {
      await session.query("SET SESSION binlog_format = 'STATEMENT'");
      await session.query("UPDATE posts SET title = 'by a statement' WHERE id = 1");
      await isSeen('by a statement');
      expect(stage.of('cleared').at(-1)?.reason).toContain('UPDATE posts SET title');
    });

    test('a row image that is not whole', async () => {
      await session.query("SET SESSION binlog_row_image = 'MINIMAL'");
      await session.query("UPDATE posts SET title = 'not whole' WHERE id = 1");
      await isSeen('not whole');
      expect(stage.of('cleared').at(-1)?.reason).toBe('a row image that is not whole');
      expect(stage.events.told).toEqual(['new_post 50']);
    });

    test.each(['COMMIT', 'COMMIT, in one phase', 'ROLLBACK'])('XA %s', async (end) => {
      await session.query("XA START 'x'");
      await session.query("UPDATE posts SET title = 'in two phases' WHERE id = 1");
      await session.query("XA END 'x'");
      if (end === 'COMMIT, in one phase') {
        await session.query("XA COMMIT 'x' ONE PHASE");
        await eventually(async () => (await stage.show(1))?.title === 'in two phases');
        return;
      }
      await session.query("XA PREPARE 'x'");
      await stage.addPosts(60, 1);
      await eventually(async () => stage.events.told.includes('new_post 60'));
      // Prepared is not committed: nobody is told, and nobody sees it.
      expect([(await stage.show(1))?.title, stage.events.told]).toEqual(['Title 1', ['new_post 60']]);
      await session.query(`XA ${end} 'x'`);
      if (end === 'COMMIT') await isSeen('in two phases');
      await stage.addPosts(61, 1);
      await eventually(async () => stage.events.told.includes('new_post 61'));
      expect((await stage.show(1))?.title).toBe(end === 'COMMIT' ? 'in two phases' : 'Title 1');
    });

    test('a table that is dropped and made anew', async () => {
      await session.query('DROP TABLE posts');
      await session.query('CREATE TABLE posts LIKE users');
      await session.query('DROP TABLE posts');
      await session.query(
        'CREATE TABLE posts (id BIGINT UNSIGNED PRIMARY KEY, title VARCHAR(255), content TEXT, user_id BIGINT UNSIGNED, created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL)',
      );
      await eventually(async () => (await stage.show(1)) === null);
      await stage.following(feed);
      await stage.addPosts(7, 1);
      await eventually(async () => stage.events.told.includes('new_post 7'));
    });
  },
);

describe.each(onMysql.map((server) => ({ server, name: nameOf(server) })))(
  'what cannot be read ($name)',
  ({ server }) => {
    test('a transaction that a session has compressed: everything is invalidated, and the feed goes on', async () => {
      const leaks = trackLeaks();
      const redis = await startRedis();
      const stage = await FeedStage.open(server, redis);
      try {
        await stage.addPosts(1, 1);
        const feed = stage.feed();
        await stage.following(feed);
        await stage.show(1);
        await stage.other.query('SET SESSION binlog_transaction_compression = ON');
        await stage.other.query("UPDATE posts SET title = 'compressed' WHERE id = 1");
        await eventually(async () => stage.of('started-over').length === 2);
        await stage.following(feed);
        expect((await stage.show(1))?.title).toBe('compressed');
        await stage.other.query('SET SESSION binlog_transaction_compression = OFF');
        await stage.addPosts(2, 1);
        await eventually(async () => stage.events.told.includes('new_post 2'));
      } finally {
        await stage.close();
        await redis.stop();
        await leaks.check();
      }
    });
  },
);
