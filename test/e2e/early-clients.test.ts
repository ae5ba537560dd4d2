import { expect, test } from '@jest/globals';
import { io, type Socket } from 'socket.io-client';
import { createSchema } from '../harness/database-schema.ts';
import { findFreePort } from '../harness/free-port.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** An instance listens before it has found its Redis; clients that have lost another one come at once. */

const stops = stopAfterEach();
const headers = { 'x-internal-secret': 's' };

/** Comes as early as can be. */
function connect(url: string, options: object): { socket: Socket; heard: unknown[] } {
  const eager = { forceNew: true, transports: ['websocket'], reconnectionDelay: 10, reconnectionDelayMax: 10 };
  const socket = io(url, { ...eager, ...options });
  stops.push(async () => void socket.close());
  const heard: unknown[] = [];
  socket.on('told', (data) => heard.push(data));
  return { socket, heard };
}

test('who is connected hears what comes, however early it came', async () => {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [schema, redis] = [await createSchema(server), await startRedis()];
  stops.push(schema.drop, () => redis.stop());
  const environment = { ...environmentOf(redis, schema), REALTIME_API_SECRET: 's', LOG_REQUESTS: 'false' };
  const other = await startServiceProcess({ environment });
  stops.push(other.stop);
  await other.line(/is in use/);
  for (const round of [1, 2, 3]) {
    const port = await findFreePort();
    const url = `http://127.0.0.1:${port}`;
    const clients = [connect(url, {}), connect(url, { auth: { epoch: null } })];
    const instance = await startServiceProcess({ environment: { ...environment, PORT: String(port) } });
    stops.push(instance.stop);
    await eventually(async () => clients.every(({ socket }) => socket.connected));
    await other.request('POST', '/internal/broadcast', { event: 'told', data: round }, headers);
    await eventually(async () => clients.every(({ heard }) => heard.length > 0));
    expect(clients.map(({ heard }) => heard)).toEqual([[round], [round]]);
  }
}, 60_000);
