import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, jest, test } from '@jest/globals';
import { ReplicatedDatabase } from '../../src/database/replicated.ts';
import { Replicas } from '../../src/database/replicas.ts';
import { selectPosition } from '../../src/database/mysql-positions.ts';
import { createSchema } from '../harness/database-schema.ts';
import { nameOf, openMysql } from '../harness/databases.ts';
import { LOOPBACK } from '../harness/free-port.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** What a database with replicas does besides asking those: test/database/replicas.test.ts has the replicas. */
const stops = stopAfterEach();
const since = { position: undefined, mark: '' };

test.each(sharedDatabases().map((server) => [nameOf(server), server] as const))(
  'the primary of %s is asked for what concerns it, and one that does not tell where it stands answers all the same',
  async (_, server) => {
    const schema = await createSchema(server);
    const primary = openMysql(schema, { tracksPositions: true });
    const database = new ReplicatedDatabase(primary, new Replicas([], { now: () => 0 }, 50));
    stops.push(schema.drop, () => database.close());
    await database.ping();
    expect(database.expectedWaitMs).toBe(0);
    const query = primary.query.bind(primary);
    jest
      .spyOn(primary, 'query')
      .mockImplementation((sql, params) =>
        sql === selectPosition ? Promise.reject(new Error('away')) : query(sql, params),
      );
    expect(await database.load('SELECT 1', [], since)).toEqual({ rows: [[1]], position: undefined });
  },
);

/** A way to the database on which nothing that has this text in it goes on. */
async function startDeafWay(
  { host, port }: { readonly host: string; readonly port: number },
  deafTo: string,
): Promise<number> {
  const server = createServer((client) => {
    const upstream = connect({ host, port });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => undefined).on('close', () => other.destroy());
    }
    client.on('data', (bytes) => {
      if (!bytes.includes(deafTo)) upstream.write(bytes);
    });
    upstream.pipe(client);
  }).listen(0, LOOPBACK);
  await once(server, 'listening');
  stops.push(async () => void server.close());
  const address = server.address();
  return address === null || typeof address === 'string' ? 0 : address.port;
}

test('a connection on which nobody answers whether it tells of commits is not used', async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('there is no database');
  const schema = await createSchema(server);
  const port = await startDeafWay(schema, 'session_track_gtids');
  const database = openMysql(schema, { tracksPositions: true, connectTimeoutMs: 300 }, { host: LOOPBACK, port });
  stops.push(schema.drop, () => database.close());
  await expect(database.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
});
