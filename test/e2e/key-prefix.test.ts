import { expect, test } from '@jest/globals';
import { createSchema } from '../harness/database-schema.ts';
import { openMysql } from '../harness/databases.ts';
import { connectClient } from '../harness/live-client.ts';
import { startRedis, withClient } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Two services with databases of their own, on one database server and one Redis: only the prefix of the keys differs. */

const stops = stopAfterEach();

async function startService(
  redis: { readonly url: string },
  prefix: string,
): Promise<{ instance: ServiceProcess; environment: Record<string, string> }> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const schema = await createSchema(server);
  stops.push(schema.drop);
  const environment = { ...environmentOf(redis, schema), REDIS_KEY_PREFIX: prefix, WRITE_WITHOUT_CACHE: 'reject' };
  const instance = await startServiceProcess({ environment });
  stops.push(instance.stop);
  await instance.line(/ is in use \(/);
  const database = openMysql(schema);
  await database.execute("INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
  await database.close();
  return { instance, environment };
}

test('two services share a Redis and do not see each other', async () => {
  const redis = await startRedis({ ownProcess: true });
  stops.push(redis.stop);
  const [shop, news] = [await startService(redis, 'shop:'), await startService(redis, 'news:')];
  const clients = await Promise.all([shop, news].map(({ instance }) => connectClient(instance.url)));
  stops.push(async () => {
    for (const client of clients) client.close();
  });
  for (const [index, { instance }] of [shop, news].entries()) {
    const post = { title: `of ${index}`, content: 'c', user_id: 1 };
    expect((await instance.request('POST', '/cache/posts', post)).json.data.id).toBe(1);
  }
  const titles = async ({ instance }: typeof shop): Promise<string[]> => {
    for (const path of ['/cache/posts/1', '/cache/posts']) {
      await eventually(async () => (await instance.get(path)).json.source === 'cache');
    }
    const [row, list] = [await instance.get('/cache/posts/1'), await instance.get('/cache/posts')];
    return [row.json.data.title, list.json.data[0].title];
  };
  expect([await titles(shop), await titles(news)]).toEqual([
    ['of 0', 'of 0'],
    ['of 1', 'of 1'],
  ]);
  const client = await withClient(redis.url, async (each) => ({
    keys: await each.keys('*'),
    channels: (await each.call('PUBSUB', 'CHANNELS', '*')) as string[],
    version: await each.hget('{news:post:1}:guard', 'version'),
  }));
  expect(client.keys.filter((key) => !/^\{?(shop|news):/.test(key))).toEqual([]);
  expect(client.keys).toEqual(expect.arrayContaining(['shop:post:1', 'news:post:1', 'shop:energex:fences']));
  expect(client.channels.filter((channel) => !/^(shop|news):energex:/.test(channel))).toEqual([]);
  expect(client.channels).toContain('news:energex:events:grown');

  const { environment } = shop;
  const inspected = await runVerb(['inspect', 'post:1', '--json'], { environment });
  expect([inspected.code, inspected.lines.join('')]).toEqual([0, expect.stringContaining('of 0')]);
  expect((await runVerb(['seed', '--posts', '5'], { environment })).code).toBe(0);
  expect((await runVerb(['invalidate', '--all'], { environment })).code).toBe(0);
  expect((await shop.instance.get('/cache/posts/1')).json.source).toBe('database');
  // What the other has was not touched.
  expect(await withClient(redis.url, (each) => each.hget('{news:post:1}:guard', 'version'))).toBe(client.version);
  expect((await news.instance.get('/cache/posts/1')).json.source).toBe('cache');
  expect((await news.instance.request('PUT', '/cache/posts/1', { title: 'anew' })).status).toBe(200);
  await clients[1]?.hears(2);
  expect(clients.map(({ heard }) => heard.map(([event]) => event))).toEqual([
    ['new_post'],
    ['new_post', 'post_updated'],
  ]);
  const { lines } = await runVerb(['doctor', '--json'], { environment });
  expect(lines.join('')).toContain('begin with shop:');
}, 60_000);
