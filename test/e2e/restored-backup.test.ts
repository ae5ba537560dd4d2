import { describe, expect, test } from '@jest/globals';
import { type Backup, backUp } from '../harness/backup.ts';
import { createSchema, type DatabaseSchema } from '../harness/database-schema.ts';
import { openMysql } from '../harness/databases.ts';
import { connectClient } from '../harness/live-client.ts';
import { type RedisServer, startRedis, withClient } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/**
 * A backup of the database is restored in its place, on the same server, while Redis keeps all that was cached since the
 * backup was taken: rows that are ahead of the database, and rows that it does not have.
 */

const stops = stopAfterEach();

describe.each(sharedDatabases().map((server) => ({ name: `${server.flavour} ${server.version}`, server })))(
  'a backup that is restored while Redis survives: $name',
  ({ server }) => {
    async function prepare(): Promise<{
      schema: DatabaseSchema;
      copy: DatabaseSchema;
      redis: RedisServer;
      start(): Promise<ServiceProcess>;
      query(sql: string): Promise<readonly (readonly unknown[])[]>;
    }> {
      const [schema, copy, redis] = await Promise.all([
        createSchema(server),
        createSchema(server, 'backup'),
        startRedis({ ownProcess: true }),
      ]);
      stops.push(schema.drop, copy.drop, redis.stop);
      const environment = environmentOf(redis, schema);
      const start = async (): Promise<ServiceProcess> => {
        const instance = await startServiceProcess({ environment });
        stops.push(instance.stop);
        await instance.line(/ is in use \(/);
        return instance;
      };
      const query = async (sql: string): Promise<readonly (readonly unknown[])[]> => {
        const database = openMysql(schema);
        try {
          return await database.query(sql);
        } finally {
          await database.close();
        }
      };
      return { schema, copy, redis, start, query };
    }

    async function writeFirst(instance: ServiceProcess, schema: DatabaseSchema): Promise<void> {
      const database = openMysql(schema);
      await database.execute("INSERT INTO users (id, name, email, password) VALUES (1, 'n', 'e@example.com', '!')");
      await database.close();
      const post = { title: 'before', content: 'c', user_id: 1 };
      expect((await instance.request('POST', '/cache/posts', post)).status).toBe(201);
    }

    /** Behind the backup: row 1 is changed, row 2 comes, and all of it is cached. */
    async function writeOn(instances: readonly ServiceProcess[]): Promise<void> {
      const [one] = instances;
      expect((await one?.request('PUT', '/cache/posts/1', { title: 'after' }))?.status).toBe(200);
      const post = { title: 'lost', content: 'c', user_id: 1 };
      expect((await one?.request('POST', '/cache/posts', post))?.status).toBe(201);
      for (const instance of instances) {
        for (const path of paths) {
          await eventually(async () => (await instance.get(path)).json.source === 'cache');
        }
        expect((await instance.get(paths[0])).json.data.title).toBe('after');
      }
    }

    const paths = ['/cache/posts/1', '/cache/posts/2', '/cache/posts', '/cache/posts?limit=5'] as const;

    async function told(instance: ServiceProcess): Promise<unknown> {
      const [row, lost, list, page] = await Promise.all(paths.map((path) => instance.get(path)));
      const titles = (json: { data: { title: string }[] }): string[] => json.data.map(({ title }) => title);
      return [row?.json.data?.title, lost?.status, titles(list?.json), titles(page?.json)];
    }

    const asInTheBackup = ['before', 404, ['before'], ['before']];

    const held = ({ url }: RedisServer): Promise<string | null> => withClient(url, (client) => client.get('post:1'));

    test('instances that run notice it within seconds, and serve what was restored from then on', async () => {
      const { schema, copy, redis, start, query } = await prepare();
      const instances = [await start(), await start()];
      const [one, two] = instances;
      if (one === undefined || two === undefined) throw new Error('two instances are needed');
      await writeFirst(one, schema);
      const client = await connectClient(two.url, { auth: { epoch: null } });
      stops.push(async () => client.close());
      await eventually(async () => client.sessions.length === 1);
      const backup: Backup = await backUp(schema, copy);
      const beat = 'SELECT generation FROM cache_barrier WHERE id = 2';
      const [before] = await query(beat);
      await writeOn(instances);
      // A backup is older than that as a rule.
      await eventually(async () => Number((await query(beat))[0]?.[0]) > Number(before?.[0]), 15_000);
      await backup.restore();
      const since = performance.now();
      for (const instance of instances) {
        await eventually(async () => JSON.stringify(await told(instance)) === JSON.stringify(asInTheBackup));
      }
      // A look a second at each instance; the rest is for a machine that is busy.
      expect(performance.now() - since).toBeLessThan(8_000);
      for (let round = 0; round < 20; round += 1) {
        for (const instance of instances) expect(await told(instance)).toEqual(asInTheBackup);
      }
      for (const instance of instances) {
        await eventually(async () => (await instance.get('/cache/posts/1')).json.source === 'cache');
      }
      // What clients of live events have heard of is not there any more.
      await eventually(async () => client.sessions.length > 1);
      expect(client.sessions.at(-1)).toMatchObject({ recovered: false });
      expect((await two.request('PUT', '/cache/posts/1', { title: 'goes on' })).status).toBe(200);
      for (const instance of instances) expect((await instance.get('/cache/posts/1')).json.data.title).toBe('goes on');
      expect(await held(redis)).not.toContain('after');
    }, 60_000);

    test('instances that were stopped meanwhile find nothing of what was cached', async () => {
      const { schema, copy, redis, start } = await prepare();
      const first = await start();
      await writeFirst(first, schema);
      // As if it had been taken a minute ago: nobody waits for that here.
      const backup = await backUp(schema, copy, (run, name) =>
        run(`UPDATE \`${name}\`.cache_barrier SET generation = generation - 60000 WHERE id = 2`),
      );
      await writeOn([first]);
      first.signal('SIGTERM');
      await first.ended;
      await backup.restore();
      expect(await held(redis)).toContain('after');
      const next = await start();
      // In use by now, with all that was cached still there.
      expect(await held(redis)).toContain('after');
      expect(await told(next)).toEqual(asInTheBackup);
    }, 60_000);

    test('an instance that is started again soon finds all that was cached', async () => {
      const { schema, start } = await prepare();
      const first = await start();
      await writeFirst(first, schema);
      await writeOn([first]);
      first.signal('SIGTERM');
      await first.ended;
      const next = await start();
      for (const path of paths.slice(0, 3)) expect((await next.get(path)).json.source).toBe('cache');
    }, 60_000);
  },
);
