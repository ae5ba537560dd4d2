import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { planFor } from '../../src/commands/invalidate.ts';
import { createSchema } from '../harness/database-schema.ts';
import { dial } from '../harness/databases.ts';
import { connectClient } from '../harness/live-client.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import { startRedis } from '../harness/redis-server.ts';
import { startSentinel } from '../harness/redis-sentinel.ts';
import { type Backend, backends, environmentOf, eventually, type Service, startService } from '../harness/service.ts';
import { runVerb } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The verb `invalidate`: what goes, on real servers, and when nothing is done. */

describe('what goes', () => {
  test.each<[string, string[], string[]]>([
    ['post:300', [], ['post:300', 'posts:rows:2', 'posts:all']],
    ['/cache/posts/300?x=1', [], ['post:300', 'posts:rows:2', 'posts:all']],
    ['posts:rows:2', [], ['posts:rows:2', 'posts:all']],
    ['posts:all', ['posts:rows:'], ['posts:all']],
    ['http://localhost:4000/cache/posts?limit=5', ['posts:rows:'], ['posts:all']],
    ['posts', ['posts:all', 'posts:rows:', 'post:'], []],
  ])('with %s', async (argument, prefixes, names) => {
    expect(await planFor(argument, false)).toMatchObject({ prefixes, names });
  });

  test('all of every resource', async () => {
    expect(await planFor(undefined, true)).toEqual({
      subjects: ['posts'],
      prefixes: ['posts:all', 'posts:rows:', 'post:'],
      names: [],
    });
  });

  test.each<[string | undefined, boolean]>([
    [undefined, false],
    ['posts', true],
    ['comments', false],
    ['post:0', false],
    ['/cache/posts/none', false],
  ])('%s with --all %s is refused', async (argument, all) => {
    await expect(planFor(argument, all)).rejects.toMatchObject({ code: 'USAGE' });
  });
});

const onServers = backends.filter(({ name }) => name !== 'embedded');

describe.each(onServers)('on $name', ({ start }) => {
  let backend: Backend;
  let service: Service;

  beforeAll(async () => {
    backend = await start();
    expect((await runVerb(['seed', '--posts', '700', '--users', '3'], backend)).code).toBe(0);
    service = await startService(backend.environment);
    // Its Redis is in use by then.
    await eventually(async () => (await service.get('/cache/posts/700')).json.source === 'cache');
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await backend.stop();
  });

  /** What somebody else does to a row, without a word. */
  async function changeBehindBack(id: number, title: string): Promise<void> {
    if (backend.schema === undefined) throw new Error('no database');
    const connection = await dial(backend.schema);
    await connection.query('UPDATE posts SET title = ? WHERE id = ?', [title, id]);
    connection.destroy();
  }

  const titleOf = async (id: number): Promise<string> => (await service.get(`/cache/posts/${id}`)).json.data.title;
  const titleInList = async (id: number): Promise<string> =>
    (await service.get('/cache/posts')).json.data.find((post: { id: number }) => post.id === id).title;
  const read = async (id: number): Promise<string[]> => [await titleOf(id), await titleInList(id)];

  test('nothing goes with --dry-run, and it says what would', async () => {
    await read(5);
    await service.get('/cache/posts?limit=3');
    await changeBehindBack(5, 'dry');
    const { code, lines } = await runVerb(['invalidate', 'post:5', '--dry-run', '--json'], backend);
    expect(code).toBe(0);
    expect(JSON.parse(lines.join())).toMatchObject({
      dryRun: true,
      names: [{ name: 'post:5', isCached: true }, { name: 'posts:rows:0' }, { name: 'posts:all', parts: 1 }],
    });
    expect(await titleOf(5)).toBe('Post 5');
    const all = await runVerb(['invalidate', '--all', '--dry-run'], backend);
    expect(all.lines).toEqual(
      expect.arrayContaining(['Would invalidate:', '  posts:rows:*: 6 names', '  posts:all*: 1 names']),
    );
    await runVerb(['invalidate', 'post:5'], backend);
  });

  test('a row: it, its segment, the list, and live clients are told', async () => {
    await read(6);
    const client = await connectClient(service.url, { auth: { epoch: '', offset: 0 } });
    await eventually(async () => client.sessions.length > 0);
    const before = client.sessions.length;
    await changeBehindBack(6, 'changed');
    expect(await read(6)).toEqual(['Post 6', 'Post 6']);
    const { code, lines, errors } = await runVerb(['invalidate', '/cache/posts/6'], backend);
    expect([code, errors]).toEqual([0, '']);
    expect(lines).toEqual([
      'Invalidated post:6',
      'Invalidated posts:rows:0',
      'Invalidated posts:all',
      'Live clients were told to read anew.',
    ]);
    expect(await read(6)).toEqual(['changed', 'changed']);
    await eventually(async () => client.sessions.length > before);
    const [first] = client.sessions;
    expect(client.sessions.at(-1)).toMatchObject({
      recovered: false,
      epoch: expect.not.stringMatching(first?.epoch ?? ''),
    });
    client.close();
  });

  test.each(['posts:all', 'posts', '--all'])('%s: the list shows what others changed', async (argument) => {
    await read(600);
    await changeBehindBack(600, argument);
    expect((await runVerb(['invalidate', argument, '--json'], backend)).code).toBe(0);
    expect(await titleInList(600)).toBe(argument);
    expect(await titleOf(600)).toBe(argument === 'posts:all' ? 'Post 600' : argument);
  });

  test('without Redis the names are recorded, and instances take them away', async () => {
    await read(7);
    await changeBehindBack(7, 'recorded');
    const environment = { ...backend.environment, REDIS_URL: 'redis://127.0.0.1:1', REDIS_CONNECT_TIMEOUT_MS: '300' };
    const { code, lines } = await runVerb(['invalidate', 'post:7'], { environment });
    expect(code).toBe(0);
    expect(lines).toContain('Recorded in the outbox: post:7');
    await eventually(async () => (await titleOf(7)) === 'recorded');
    const all = await runVerb(['invalidate', '--all', '--json'], { environment });
    expect([all.code, JSON.parse(all.lines.join()).error.code]).toEqual([1, 'COMMAND_FAILED']);
    const dry = await runVerb(['invalidate', '--all', '--dry-run'], { environment });
    expect([dry.code, dry.errors]).toEqual([1, expect.stringMatching(/^Redis cannot be asked: /)]);
  });

  test('with another Redis than the instances use nothing is done, and they keep theirs', async () => {
    const other = await startRedis({ ownProcess: true });
    try {
      await read(8);
      const environment = { ...backend.environment, REDIS_URL: other.url };
      const { code, errors } = await runVerb(['invalidate', 'post:8'], { environment });
      expect([code, errors]).toEqual([1, expect.stringMatching(/^the instances use another Redis/)]);
      expect((await service.get('/cache/posts/8')).json.source).toBe('cache');
    } finally {
      await other.stop();
    }
  });
});

describe('in other topologies', () => {
  const stops = stopAfterEach(3_000);

  async function proveOn(redis: Record<string, string>): Promise<void> {
    const [server] = sharedDatabases();
    if (server === undefined) throw new Error('no database');
    const schema = await createSchema(server);
    stops.push(schema.drop);
    const { REDIS_URL: _, ...rest } = environmentOf({ url: '' }, schema);
    const environment = { ...rest, ...redis };
    expect((await runVerb(['seed', '--posts', '3', '--users', '1'], { environment })).code).toBe(0);
    const service = await startService(environment);
    stops.push(service.stop);
    await eventually(async () => (await service.get('/cache/posts/2')).json.source === 'cache');
    const connection = await dial(schema);
    await connection.query("UPDATE posts SET title = 'changed'");
    connection.destroy();
    expect((await service.get('/cache/posts/2')).json.data.title).toBe('Post 2');
    const one = await runVerb(['invalidate', 'post:2'], { environment });
    expect([one.code, one.errors]).toEqual([0, '']);
    expect((await service.get('/cache/posts/2')).json.data.title).toBe('changed');
    const all = await runVerb(['invalidate', '--all'], { environment });
    expect([all.code, all.errors]).toEqual([0, '']);
    expect((await service.get('/cache/posts/1')).json.data.title).toBe('changed');
  }

  test('a cluster', async () => {
    const cluster = await startRedisCluster({ replicas: false });
    stops.push(cluster.stop);
    const nodes = cluster.masters.map(({ host, port }) => `${host}:${port}`).join(',');
    await proveOn({ REDIS_CLUSTER_NODES: nodes });
  }, 60_000);

  test('behind a Sentinel', async () => {
    const master = await startRedis({ ownProcess: true });
    stops.push(master.stop);
    const sentinel = await startSentinel(master);
    stops.push(sentinel.stop);
    await proveOn({ REDIS_SENTINELS: `${sentinel.host}:${sentinel.port}` });
  }, 60_000);
});
