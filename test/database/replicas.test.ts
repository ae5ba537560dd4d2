import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config.ts';
import { examineReplicas } from '../../src/doctor/replicas.ts';
import { openMysql } from '../harness/databases.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import type { DatabaseFlavour } from '../harness/database-server.ts';
import { startRedis } from '../harness/redis-server.ts';
import { ask, type Replication, run, startReplication } from '../harness/replica.ts';
import { parseScrape } from '../harness/scrape.ts';
import { environmentOf, eventually, type Service, startService } from '../harness/service.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Loads that a read replica answers, on a real primary with a real replica: never older than what was acknowledged. */

const stops = stopAfterEach();
const flavours = sharedDatabases().map(({ flavour }) => flavour);

describe.each(flavours)('a replica of %s', (flavour: DatabaseFlavour) => {
  let replication: Replication;
  let schema: DatabaseSchema;

  beforeAll(async () => {
    replication = await startReplication(flavour);
    schema = await createSchema(replication.primary);
    // No more than a service needs: none of the rights that concern replication.
    await run(replication.primary, [
      "CREATE USER 'app'@'127.0.0.1' IDENTIFIED BY 'secret'",
      `GRANT ALL ON \`${schema.name}\`.* TO 'app'@'127.0.0.1'`,
    ]);
  }, 120_000);
  afterAll(() => replication.stop());

  async function open(environment: Readonly<Record<string, string>> = {}): Promise<Service> {
    const redis = await startRedis();
    const service = await startService({
      ...environmentOf(redis, { ...schema, username: 'app', password: 'secret' }),
      DB_REPLICAS: `127.0.0.1:${replication.replica.port}`,
      DB_REPLICA_WAIT_MS: '300',
      ...environment,
    });
    stops.push(redis.stop, service.stop);
    // By then Redis is in use.
    await eventually(async () => {
      const reply = await service.get('/cache/posts/1000000');
      return reply.headers.get('cache-status')?.includes('hit') === true;
    });
    return service;
  }

  const answered = async (service: Service, answer: string): Promise<number> =>
    parseScrape((await service.get('/metrics')).text).value('energex_mysql_replicated_loads_total', { answer }) ?? 0;

  async function addPosts(service: Service, count: number): Promise<readonly string[]> {
    await run(replication.primary, [
      `INSERT IGNORE INTO \`${schema.name}\`.users (id, name, email, created_at, updated_at) VALUES (1, 'Ada', 'a@b.c', NOW(), NOW())`,
    ]);
    const ids: string[] = [];
    for (let at = 0; at < count; at += 1) {
      const { json } = await service.request('POST', '/cache/posts', { title: '0', content: 'c', user_id: 1 });
      ids.push(String(json.data.id));
    }
    return ids;
  }
  const put = async (service: Service, id: string, title: string): Promise<number> =>
    (await service.request('PUT', `/cache/posts/${id}`, { title })).status;
  const titleOf = async (service: Service, id: string): Promise<string> =>
    (await service.get(`/cache/posts/${id}`)).json.data.title;

  test('answers once it is known how far it must have come, and the primary until then', async () => {
    const service = await open();
    const [first = '', second = ''] = await addPosts(service, 2);
    expect(await titleOf(service, first)).toBe('0');
    expect(await answered(service, 'unknown')).toBeGreaterThan(0);
    expect(await titleOf(service, second)).toBe('0');
    expect(await put(service, first, 'changed')).toBe(200);
    expect(await titleOf(service, first)).toBe('changed');
    expect((await service.get('/cache/posts?limit=2')).json.data).toHaveLength(2);
    expect(await answered(service, 'replica')).toBeGreaterThanOrEqual(2);
  });

  test('that applies nothing is not waited for beyond its time, and answers again when it does', async () => {
    const service = await open();
    const [id = '', other = ''] = await addPosts(service, 2);
    await titleOf(service, id);
    await replication.stopApplying();
    try {
      expect(await put(service, id, 'newer')).toBe(200);
      expect(await titleOf(service, id)).toBe('newer');
      expect(await answered(service, 'behind')).toBeGreaterThan(0);
    } finally {
      await replication.apply();
    }
    await eventually(async () => {
      const before = await answered(service, 'replica');
      await put(service, other, `${Math.random()}`);
      await titleOf(service, other);
      return (await answered(service, 'replica')) > before;
    });
  });

  test('that is away, or that does not answer, leaves all to the primary', async () => {
    const service = await open();
    const [id = ''] = await addPosts(service, 1);
    await titleOf(service, id);
    await replication.replica.pause();
    try {
      for (const title of ['a', 'b']) {
        expect(await put(service, id, title)).toBe(200);
        expect(await titleOf(service, id)).toBe(title);
      }
    } finally {
      await replication.replica.resume();
    }
    const gone = await open({ DB_REPLICAS: '127.0.0.1:1' });
    const [one = ''] = await addPosts(gone, 1);
    await titleOf(gone, one);
    expect(await put(gone, one, 'c')).toBe(200);
    expect(await titleOf(gone, one)).toBe('c');
    expect(await answered(gone, 'replica')).toBe(0);
  });

  test('under load, with its applying stopped and resumed, is never read older than what was acknowledged', async () => {
    const writer = await open();
    const ids = await addPosts(writer, 4);
    const acknowledged = new Map(ids.map((id) => [id, 0]));
    const over = new AbortController();
    let reads = 0;
    const write = async (id: string): Promise<void> => {
      for (let number = 1; !over.signal.aborted; number += 1) {
        if ((await put(writer, id, String(number))) === 200) acknowledged.set(id, number);
      }
    };
    const read = async (id: string): Promise<void> => {
      while (!over.signal.aborted) {
        const least = acknowledged.get(id) ?? 0;
        const title = Number(await titleOf(writer, id));
        reads += 1;
        if (title < least) throw new Error(`post ${id} was read as ${title} when ${least} was acknowledged`);
      }
    };
    const work = Promise.all(ids.flatMap((id) => [write(id), read(id), read(id)]));
    const stopped = work.catch(() => undefined);
    for (let round = 0; round < 3; round += 1) {
      await Promise.race([stopped, eventually(async () => reads > round * 200 + 100)]);
      await replication.stopApplying();
      const from = reads;
      await Promise.race([stopped, eventually(async () => reads > from + 50)]);
      await replication.apply();
    }
    over.abort();
    await work;
    expect(await answered(writer, 'replica')).toBeGreaterThan(0);
    expect(await answered(writer, 'behind')).toBeGreaterThan(0);
  }, 60_000);

  test('answers behind changes of other programs as well, as the change feed tells of them', async () => {
    await run(replication.primary, ["GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'app'@'127.0.0.1'"]);
    const service = await open({ CHANGE_FEED: 'binlog' });
    const [id = ''] = await addPosts(service, 1);
    await titleOf(service, id);
    await eventually(async () => {
      const before = await answered(service, 'replica');
      const unknown = await answered(service, 'unknown');
      const title = `by hand ${Math.random()}`;
      await run(replication.primary, [`UPDATE \`${schema.name}\`.posts SET title = '${title}' WHERE id = ${id}`]);
      await eventually(async () => (await titleOf(service, id)) === title);
      // While the feed waits until every SELECT sees the change, reads go to the primary without being loads under a lease.
      await eventually(async () => (await service.get(`/cache/posts/${id}`)).json.source === 'cache');
      return (await answered(service, 'replica')) > before && (await answered(service, 'unknown')) === unknown;
    });
  });

  test('is looked at by the doctor', async () => {
    const { host, port } = replication.replica;
    const { settings } = loadConfig({
      ...environmentOf({ url: 'redis://127.0.0.1:1' }, schema),
      DB_REPLICAS: `${host}:${port},127.0.0.1:1`,
    });
    const database = openMysql(schema);
    stops.push(() => database.close());
    const { host: at, port: on, username: user, password, name } = schema;
    const address = { host: at, port: on, user, password, database: name };
    expect(await examineReplicas(database, { ...settings, DB_CONNECT_TIMEOUT_MS: 2_000 }, address)).toEqual([
      expect.objectContaining({ id: 'mysql.gtid', severity: 'ok' }),
      expect.objectContaining({ id: `mysql.replica.${host}:${port}`, severity: 'ok' }),
      expect.objectContaining({
        id: 'mysql.replica.127.0.0.1:1',
        severity: 'warn',
        finding: expect.stringContaining('ECONNREFUSED'),
      }),
    ]);
  });

  test('that commits in another order than the primary is not asked', async () => {
    if (flavour === 'mariadb') {
      // There it keeps the order in every mode.
      expect(await ask(replication.replica, ["SHOW GLOBAL VARIABLES LIKE '%preserve_commit_order'"])).toEqual([]);
      return;
    }
    await run(replication.replica, [
      'STOP REPLICA',
      'SET GLOBAL replica_preserve_commit_order = OFF',
      'SET GLOBAL replica_parallel_workers = 4',
      'START REPLICA',
    ]);
    try {
      const service = await open();
      const [id = ''] = await addPosts(service, 1);
      await titleOf(service, id);
      await put(service, id, 'x');
      expect(await titleOf(service, id)).toBe('x');
      expect([await answered(service, 'replica'), (await answered(service, 'behind')) > 0]).toEqual([0, true]);
      const database = openMysql(schema);
      stops.push(() => database.close());
      const { host, port } = replication.replica;
      const { settings } = loadConfig({
        ...environmentOf({ url: 'redis://127.0.0.1:1' }, schema),
        DB_REPLICAS: `${host}:${port}`,
      });
      const { host: at, port: on, username: user, password, name } = schema;
      const address = { host: at, port: on, user, password, database: name };
      const findings = await examineReplicas(database, settings, address);
      expect(findings[1]).toMatchObject({ severity: 'warn', finding: expect.stringContaining('another order') });
    } finally {
      await run(replication.replica, [
        'STOP REPLICA',
        'SET GLOBAL replica_preserve_commit_order = ON',
        'START REPLICA',
      ]);
    }
  });
});
