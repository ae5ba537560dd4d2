import { expect, test } from '@jest/globals';
import { io, type Socket } from 'socket.io-client';
import { openMysql } from '../harness/databases.ts';
import { createSchema } from '../harness/database-schema.ts';
import { startRedis } from '../harness/redis-server.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** One of two instances is killed while events go on: its clients go to the other one, and hear everything. */

const stops = stopAfterEach();
const headers = { 'x-internal-secret': 's' };

type Heard = { readonly offset: number; readonly data: unknown };

/** A browser that goes to another instance when it loses one, as behind a load balancer. */
class Wanderer {
  readonly heard: Heard[] = [];
  sessions = 0;
  recoveries = 0;
  #position: { epoch: string | null; offset: number } = { epoch: null, offset: 0 };
  #socket: Socket;

  constructor(urls: readonly string[]) {
    this.#socket = this.#connect(urls);
  }

  #connect([url = '', ...others]: readonly string[]): Socket {
    const socket = io(url, { forceNew: true, reconnection: false, transports: ['websocket'], auth: this.#position });
    socket.on('energex:session', ({ epoch, offset, recovered }) => {
      this.sessions += 1;
      if (recovered) this.recoveries += 1;
      // What it was told of while it caught up is behind the position that it asked with.
      if (!recovered) this.#position = { epoch, offset };
    });
    socket.on('told', (data, { epoch, offset }) => {
      this.heard.push({ offset, data });
      this.#position = { epoch, offset };
    });
    const goOn = (): void => {
      socket.removeAllListeners();
      this.#socket = this.#connect([...others, url]);
    };
    socket.on('disconnect', goOn);
    socket.on('connect_error', goOn);
    return socket;
  }

  close(): void {
    this.#socket.removeAllListeners();
    this.#socket.close();
  }
}

async function startInstances(): Promise<readonly [ServiceProcess, ServiceProcess]> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [schema, redis] = [await createSchema(server), await startRedis()];
  stops.push(schema.drop, () => redis.stop());
  await openMysql(schema).close();
  const environment = { ...environmentOf(redis, schema), REALTIME_API_SECRET: 's', LOG_REQUESTS: 'false' };
  const [one, two] = await Promise.all([startServiceProcess({ environment }), startServiceProcess({ environment })]);
  stops.push(one.stop, two.stop);
  for (const each of [one, two]) await each.line(/is in use/);
  return [one, two];
}

test('two hundred clients end with the exact sequence: nothing missing, nothing twice, nothing out of order', async () => {
  const [survivor, victim] = await startInstances();
  const wanderers = Array.from(
    { length: 200 },
    (_, index) => new Wanderer(index % 2 === 0 ? [victim.url, survivor.url] : [survivor.url, victim.url]),
  );
  stops.push(async () => wanderers.forEach((each) => each.close()));
  const tell = async (instance: ServiceProcess, data: unknown): Promise<boolean> => {
    const answer = await instance
      .request('POST', '/internal/broadcast', { event: 'told', data }, headers)
      .catch(() => null);
    return answer?.status === 200;
  };
  await eventually(async () => wanderers.every(({ sessions }) => sessions > 0), 30_000);

  const acknowledged: string[] = [];
  const told = async (instance: ServiceProcess, name: string, from: number, to: number): Promise<void> => {
    for (let count = from; count <= to; count += 1) {
      if (await tell(instance, `${name}-${count}`)) acknowledged.push(`${name}-${count}`);
    }
  };
  const both = Promise.all([told(survivor, 's', 1, 300), told(victim, 'v', 1, 300)]);
  await eventually(async () => acknowledged.length > 200, 20_000);
  victim.signal('SIGKILL');
  await both;
  await told(survivor, 'after', 1, 50);
  await tell(survivor, 'end');
  await eventually(async () => wanderers.every(({ heard }) => heard.at(-1)?.data === 'end'), 30_000);

  const [first, ...others] = wanderers.map(({ heard }) => heard);
  const offsets = first?.map(({ offset }) => offset) ?? [];
  expect(offsets).toEqual([...new Set(offsets)].toSorted((a, b) => a - b));
  for (const other of others) expect(other).toEqual(first);
  const all = new Set(first?.map(({ data }) => data));
  expect(acknowledged.filter((each) => !all.has(each))).toEqual([]);
  // Those of the victim came back with their position.
  expect(wanderers.filter(({ recoveries }) => recoveries > 0).length).toBeGreaterThanOrEqual(100);
}, 90_000);
