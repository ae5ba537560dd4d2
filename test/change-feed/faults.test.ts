import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { RowDataPacket } from 'mysql2/promise';
import type { Follower } from '../../src/change-feed/follower.ts';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { dial } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { FeedStage } from '../harness/feed.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { type RedisServer, startRedis } from '../harness/redis-server.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { startProxy, type TcpProxy } from '../harness/tcp-proxy.ts';

const flavours = [...new Set(sharedDatabases().map(({ flavour }) => flavour))];

describe.each(flavours)('the feed of %s under faults', (flavour: DatabaseFlavour) => {
  let leaks: LeakCheck;
  let server: DatabaseServer;
  let redis: RedisServer;
  let proxy: TcpProxy;
  let stage: FeedStage;
  let feed: Follower;

  beforeAll(async () => {
    leaks = trackLeaks();
    [server, redis] = await Promise.all([
      startDatabaseServer(flavour, { ownProcess: true }),
      startRedis({ ownProcess: true }),
    ]);
  });
  beforeEach(async () => {
    stage = await FeedStage.open(server, redis);
    await stage.redis.flushall();
    proxy = await startProxy(server);
    feed = stage.feed({}, proxy);
    await stage.following(feed);
    stage.events.renewals = 0;
  });
  afterEach(async () => {
    await stage.close();
    await proxy.close();
  });
  afterAll(async () => {
    await Promise.all([redis.stop(), server.stop()]);
    await leaks.check();
  });

  /** Some other program's way that survives what is done to the server. */
  const write = async (sql: string): Promise<void> => {
    const connection = await dial(stage.schema);
    try {
      await connection.query(sql);
    } finally {
      connection.destroy();
    }
  };
  const add = (id: number): Promise<void> =>
    write(`INSERT INTO posts (id, title, content, user_id) VALUES (${id}, 'Title ${id}', 'c', 1)`);
  /** Behind the invalidation that came with the row. */
  const cache = async (id: number): Promise<void> => {
    await eventually(async () => stage.events.told.includes(`new_post ${id}`));
    await eventually(async () => {
      await stage.show(id);
      return (await stage.store.validate(`post:${id}`)) !== null;
    });
  };
  /** What was written meanwhile is told of, once, and is seen. */
  const recovers = async (told: readonly string[]): Promise<void> => {
    await eventually(async () => stage.events.told.length >= told.length);
    await stage.following(feed);
    expect(stage.events.told).toEqual(told);
    expect(stage.events.renewals).toBe(0);
  };

  test('the connection is reset, and the server restarted and killed: the feed goes on where it was', async () => {
    await add(1);
    await cache(1);
    proxy.reset();
    await write("UPDATE posts SET title = 'one' WHERE id = 1");
    await recovers(['new_post 1', 'post_updated 1']);
    await server.restart();
    await write("UPDATE posts SET title = 'two' WHERE id = 1");
    await recovers(['new_post 1', 'post_updated 1', 'post_updated 1']);
    await server.kill();
    await server.restart();
    await write("UPDATE posts SET title = 'three' WHERE id = 1");
    await recovers(['new_post 1', 'post_updated 1', 'post_updated 1', 'post_updated 1']);
    expect((await stage.show(1))?.title).toBe('three');
  });

  test('a connection into a black hole is given up within seconds, though nobody says that it is broken', async () => {
    await add(1);
    await cache(1);
    proxy.blackHole();
    const since = performance.now();
    await write("UPDATE posts SET title = 'one' WHERE id = 1");
    await eventually(async () => feed.state.name !== 'following');
    expect(performance.now() - since).toBeLessThan(8_000);
    await proxy.restore();
    await recovers(['new_post 1', 'post_updated 1']);
    expect((await stage.show(1))?.title).toBe('one');
  });

  test('the server ends the connection of the reader alone: another one is made', async () => {
    await add(1);
    await eventually(async () => stage.events.heard.length === 1);
    const [rows] = await stage.other.query<RowDataPacket[]>(
      "SELECT id FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'",
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) await stage.other.query(`KILL ${Object.values(row)[0]}`);
    await write("UPDATE posts SET title = 'one' WHERE id = 1");
    await recovers(['new_post 1', 'post_updated 1']);
  });

  test('a server that is stopped is noticed within seconds, and followed again when it goes on', async () => {
    await add(1);
    await eventually(async () => stage.events.heard.length === 1);
    await server.pause();
    const since = performance.now();
    try {
      await eventually(async () => feed.state.name !== 'following');
      expect(performance.now() - since).toBeLessThan(8_000);
    } finally {
      await server.resume();
    }
    await add(2);
    await recovers(['new_post 1', 'new_post 2']);
  });

  test('a purged position: everything is invalidated, clients are told, and the feed goes on from the end', async () => {
    await add(1);
    await cache(1);
    await feed.stop();
    await write("UPDATE posts SET title = 'unheard of' WHERE id = 1");
    await stage.other.query('FLUSH BINARY LOGS');
    // MariaDB keeps a log until a checkpoint of the storage engine, which comes in its own time.
    await eventually(async () => {
      const [rows] = await stage.other.query<RowDataPacket[]>({ sql: 'SHOW BINARY LOGS', rowsAsArray: false });
      await stage.other.query('PURGE BINARY LOGS TO ?', [rows.at(-1)?.['Log_name']]);
      return rows.length === 1;
    });
    expect((await stage.show(1))?.title).toBe('Title 1');
    feed = stage.feed({}, proxy);
    await stage.following(feed);
    expect((await stage.show(1))?.title).toBe('unheard of');
    expect(stage.events.renewals).toBe(1);
    expect(stage.of('started-over')).toHaveLength(2);
    await add(2);
    await eventually(async () => stage.events.told.at(-1) === 'new_post 2');
  });

  test('Redis is away, then the event log: the feed holds, and nothing is lost', async () => {
    await add(1);
    await eventually(async () => stage.events.heard.length === 1);
    await redis.pause();
    await add(2);
    await redis.resume();
    stage.events.isAway = true;
    await add(3);
    await eventually(async () => feed.state.name === 'reconnecting');
    stage.events.isAway = false;
    await recovers(['new_post 1', 'new_post 2', 'new_post 3']);
  });

  test('Redis restarts empty while the feed runs: nothing is stale and no event is missing', async () => {
    await add(1);
    await cache(1);
    await redis.restart();
    await write("UPDATE posts SET title = 'one' WHERE id = 1");
    await recovers(['new_post 1', 'post_updated 1']);
    expect((await stage.show(1))?.title).toBe('one');
    // The one behind the restart is trusted, and comes by itself.
    await eventually(async () => (await stage.store.kept('energex:feed').catch(() => null)) !== null);
    await feed.stop();
    feed = stage.feed({}, proxy);
    await stage.following(feed);
    expect(stage.of('started-over')).toHaveLength(1);
  });

  test('a checkpoint that is lost alone: everything is invalidated before the feed follows', async () => {
    await add(1);
    await cache(1);
    await feed.stop();
    await write("UPDATE posts SET title = 'one' WHERE id = 1");
    await stage.redis.del('energex:feed');
    feed = stage.feed({}, proxy);
    await stage.following(feed);
    expect((await stage.show(1))?.title).toBe('one');
    expect(stage.events.renewals).toBe(1);
  });

  test('of two, one follows; when it is cut off, the other takes over and misses nothing', async () => {
    const second = stage.feed();
    await add(1);
    await eventually(async () => stage.events.heard.length === 1);
    await eventually(async () => second.state.name === 'electing');
    await proxy.refuse();
    await add(2);
    await stage.following(second);
    await eventually(async () => stage.events.heard.length === 2);
    await proxy.restore();
    await eventually(async () => feed.state.name === 'electing');
    expect(second.state.name).toBe('following');
    expect([stage.events.told, stage.events.renewals]).toEqual([['new_post 1', 'new_post 2'], 0]);
  });
});
