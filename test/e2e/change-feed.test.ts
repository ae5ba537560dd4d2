import { expect, test } from '@jest/globals';
import { createConnection } from 'mysql2/promise';
import { createSchema } from '../harness/database-schema.ts';
import { startDatabaseServer } from '../harness/database-server.ts';
import { dial, nameOf } from '../harness/databases.ts';
import { eventually } from '../harness/eventually.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Whole processes with a change feed: who leads, who takes over, who tells the browsers. */

const stops = stopAfterEach();

async function connect(service: ServiceProcess): Promise<LiveClient> {
  const client = await connectClient(service.url);
  stops.push(async () => client.close());
  return client;
}

const told = ({ heard }: LiveClient): string[] => heard.map(([event, data]) => `${event} ${Object(data).id}`);

test.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'the leader is killed: the other instance leads within 5 seconds, and nothing is lost (%s)',
  async (_, server) => {
    const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
    stops.push(redis.stop, schema.drop);
    const environment = { ...environmentOf(redis, schema), CHANGE_FEED: 'binlog' };
    const leader = await startServiceProcess({ environment });
    stops.push(leader.stop);
    await leader.line(/Change feed: following/);
    const other = await startServiceProcess({ environment });
    stops.push(other.stop);
    await other.line(/Change feed: waiting/);
    const client = await connect(other);
    const program = await dial(schema);
    stops.push(async () => program.destroy());
    await program.query("INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p')");
    await program.query("INSERT INTO posts (id, title, content, user_id) VALUES (1, 'old', 'c', 1)");
    await eventually(async () => (await other.get('/cache/posts/1')).json.source === 'cache');

    leader.signal('SIGKILL');
    const since = performance.now();
    await leader.ended;
    await program.query("UPDATE posts SET title = 'new' WHERE id = 1");
    for (let id = 2; id <= 50; id += 1) {
      await program.query("INSERT INTO posts (id, title, content, user_id) VALUES (?, 't', 'c', 1)", [id]);
    }
    await other.line(/Change feed: following/);
    expect(performance.now() - since).toBeLessThan(5_000);
    const wanted = ['post_updated 1', ...Array.from({ length: 49 }, (_unused, index) => `new_post ${index + 2}`)];
    await eventually(async () => told(client).length >= wanted.length, 30_000);
    // What the dead leader had not noted comes again, before the rest.
    expect(told(client).slice(-wanted.length)).toEqual(wanted);
    expect((await other.get('/cache/posts/1')).json.data.title).toBe('new');
    expect((await other.get('/cache/posts')).json.data).toHaveLength(50);
    expect(other.lines.join('\n')).not.toContain('goes on from the end');
  },
);

test("a service's own writes are told of once, by the feed, and a broadcast of one only invalidates", async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('there is no database');
  const [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
  stops.push(redis.stop, schema.drop);
  const environment = { ...environmentOf(redis, schema), CHANGE_FEED: 'binlog', REALTIME_API_SECRET: 'secret' };
  const service = await startServiceProcess({ environment });
  stops.push(service.stop);
  await service.line(/Change feed: following/);
  const client = await connect(service);
  const program = await dial(schema);
  stops.push(async () => program.destroy());
  await program.query("INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p')");
  const created = await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 });
  await service.request('PUT', '/cache/posts/1', { title: 'u' });
  const headers = { 'x-internal-secret': 'secret' };
  const broadcast = { event: 'post_updated', data: { id: 1, title: 'from the backend' } };
  expect((await service.request('POST', '/internal/broadcast', broadcast, headers)).status).toBe(200);
  await service.request('POST', '/internal/broadcast', { event: 'notice', data: 'hello' }, headers);
  await service.request('DELETE', '/cache/posts/1');
  await eventually(async () => told(client).includes('post_deleted 1'));
  const changes = client.heard.filter(([event]) => event !== 'notice');
  expect(changes.map(([event]) => event)).toEqual(['new_post', 'post_updated', 'post_deleted']);
  expect(changes[0]?.[1]).toEqual(created.json.data);
  expect(client.heard).toContainEqual(['notice', 'hello']);
});

test('a wrong setting: the log says what mends it, and the service tells of its writes as without a feed', async () => {
  const server = await startDatabaseServer('mysql', { config: ['--binlog-row-image=MINIMAL'] });
  const redis = await startRedis();
  const schema = await createSchema(server);
  stops.push(redis.stop, server.stop);
  const environment = { ...environmentOf(redis, schema), CHANGE_FEED: 'binlog' };
  const service = await startServiceProcess({ environment });
  stops.push(service.stop);
  const line = await service.line(/Change feed: OFF/);
  expect(line).toContain('binlog_row_image is MINIMAL');
  expect(line).toContain('SET GLOBAL binlog_row_image = FULL;');
  const { host, port, username: user, name: database } = schema;
  const program = await createConnection({ host, port, user, database });
  stops.push(() => program.end());
  await program.query("INSERT INTO users (id, name, email, password) VALUES (1, 'Ada', 'a@x', 'p')");
  const client = await connect(service);
  await service.request('POST', '/cache/posts', { title: 't', content: 'c', user_id: 1 });
  await client.hears(1);
  expect(told(client)).toEqual(['new_post 1']);
});
