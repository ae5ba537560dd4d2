import { expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import { eventually } from '../harness/eventually.ts';
import { createSchema } from '../harness/database-schema.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { runVerb, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The main job on real input: 10,000 posts by 500 users, read, cached, changed, forgotten exactly, read again. */

const stops = stopAfterEach();

const minuteMs = 60_000;

test.each(sharedDatabases().map((server) => [`${server.flavour} ${server.version}`, server] as const))(
  'on %s and Redis',
  async (_, server) => {
    const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
    stops.push(redis.stop, schema.drop);
    const environment = environmentOf(redis, schema);
    expect((await runVerb(['seed', '--posts', '10000', '--users', '500'], { environment })).code).toBe(0);
    const service = await startServiceProcess({ environment });
    stops.push(service.stop);
    await service.line(/Cache: Redis at \S+ is in use/);
    const client = new Redis(redis.url);
    stops.push(async () => {
      client.disconnect();
    });
    const isSegment = (key: string): boolean => /^posts:rows:\d+$/.test(key);
    const keys = async (): Promise<string[]> =>
      (await client.keys('post*')).filter((key) => !isSegment(key)).toSorted();
    const segments = async (): Promise<number> => (await client.keys('post*')).filter(isSegment).length;
    expect(await keys()).toEqual([]);

    const loaded = await service.get('/cache/posts');
    const cached = await service.get('/cache/posts');
    expect([loaded.json.source, cached.json.source]).toEqual(['database', 'cache']);
    expect(cached.json.data).toEqual(loaded.json.data);
    expect(loaded.json.data).toHaveLength(10_000);
    // The order and the content of the rows, told by the database itself.
    const { host, port, username: user, password, name: database } = schema;
    const connection = await createConnection({
      host,
      port,
      user,
      password,
      database,
      rowsAsArray: true,
      dateStrings: true,
    });
    stops.push(() => connection.end());
    await connection.query("SET time_zone = '+00:00'");
    const [rows] = await connection.query(
      'SELECT p.id, p.title, p.content, p.user_id, u.name, u.email, p.created_at FROM posts p JOIN users u ON u.id = p.user_id ORDER BY p.created_at DESC, p.id DESC',
    );
    type Post = {
      id: number;
      title: string;
      content: string;
      user_id: number;
      user: { id: number; name: string; email: string };
      created_at: string;
    };
    expect(
      loaded.json.data.map(({ id, title, content, user_id, user, created_at }: Post) => [
        id,
        title,
        content,
        user_id,
        user.name,
        user.email,
        created_at.replace('T', ' ').replace('Z', ''),
      ]),
    ).toEqual(rows);

    for (const id of [1, 2]) {
      expect((await service.get(`/cache/posts/${id}`)).json.source).toBe('database');
      expect((await service.get(`/cache/posts/${id}`)).json.source).toBe('cache');
    }
    await service.get('/cache/posts?limit=20');
    // The string of a long list is written once nobody has changed it for a while.
    await eventually(async () => (await client.exists('posts:all')) === 1, 30_000);
    expect(await keys()).toEqual(['post:1', 'post:2', 'posts:all']);
    expect(await segments()).toBe(79);
    expect(await client.get('posts:all')).toBe(JSON.stringify(cached.json.data));
    expect(await client.get('post:1')).toBe(JSON.stringify((await service.get('/cache/posts/1')).json.data));
    for (const [key, ttlMs] of [
      ['posts:all', 5 * minuteMs],
      ['post:1', 10 * minuteMs],
    ] as const) {
      const left = await client.pttl(key);
      expect(left).toBeLessThanOrEqual(ttlMs);
      expect(left).toBeGreaterThan(0.9 * ttlMs - 20_000);
    }

    const updated = await service.request('PUT', '/cache/posts/1', { title: 'A new title' });
    expect(await keys()).toEqual(['post:2']);
    expect(await segments()).toBe(78);
    expect([updated.status, updated.json.message, updated.json.source]).toEqual([
      200,
      'Post updated successfully',
      'database',
    ]);
    const again = [
      await service.get('/cache/posts/1'),
      await service.get('/cache/posts/2'),
      await service.get('/cache/posts'),
      await service.get('/cache/posts?limit=20'),
    ];
    expect(again.map(({ json }) => json.source)).toEqual(['database', 'cache', 'database', 'database']);
    expect(again[0]?.json.data).toEqual(updated.json.data);
    expect(again[2]?.json.data.find(({ id }: Post) => id === 1).title).toBe('A new title');
    expect((await service.get('/cache/posts/1')).json).toMatchObject({
      source: 'cache',
      data: { title: 'A new title' },
    });

    const created = await service.request('POST', '/cache/posts', { title: 'The newest', content: 'c', user_id: 1 });
    expect([created.status, created.headers.get('location')]).toEqual([201, '/cache/posts/10001']);
    expect(await keys()).toEqual(['post:1', 'post:2']);
    expect((await service.get('/cache/posts')).json.data[0]).toEqual(created.json.data);
    const deleted = await service.request('DELETE', '/cache/posts/10001', { user_id: 1 });
    expect(deleted.json).toEqual({ message: 'Post deleted successfully', postId: 10_001, source: 'database' });
    expect(await keys()).toEqual(['post:1', 'post:2']);
    expect((await service.get('/cache/posts')).json.data).toHaveLength(10_000);
    expect((await service.get('/cache/posts/10001')).status).toBe(404);
  },
  60_000,
);
