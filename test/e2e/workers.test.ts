import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { findFreePort } from '../harness/free-port.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { createSchema } from '../harness/database-schema.ts';
import { startRedis } from '../harness/redis-server.ts';
import { parseScrape } from '../harness/scrape.ts';
import { environmentOf, eventually } from '../harness/service.ts';
import { makeServerFolder } from '../harness/server-process.ts';
import { runVerb, type ServiceProcess, startServiceProcess } from '../harness/service-process.ts';
import { sharedDatabases } from '../harness/shared-servers.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** `serve --workers N`: processes on one port. */

const stops = stopAfterEach();
const headers = { 'x-internal-secret': 's' };

async function startWorkers(
  count: number,
  more: Record<string, string> = {},
): Promise<ServiceProcess & { readonly temporary: string }> {
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  const [schema, redis, temporary] = [
    await createSchema(server),
    await startRedis(),
    await makeServerFolder('workers'),
  ];
  stops.push(
    () => rm(temporary, { recursive: true, force: true }),
    schema.drop,
    () => redis.stop(),
  );
  const environment = {
    ...environmentOf(redis, schema),
    REALTIME_API_SECRET: 's',
    LOG_REQUESTS: 'false',
    TMPDIR: temporary,
    ...more,
  };
  const service = await startServiceProcess({ environment, arguments: ['serve', '--workers', String(count)] });
  stops.push(service.stop);
  await eventually(async () => startsOf(service) >= count);
  return { ...service, temporary };
}

const processesOf = ({ pid }: ServiceProcess): number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);

/** One that has ended, and that nobody has asked how, is still in the table of processes. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

const startsOf = ({ lines }: ServiceProcess): number => lines.filter((line) => line.includes('is in use')).length;

test('share the port, the cache and the live events; sessions by polling stay whole', async () => {
  const service = await startWorkers(3);
  // A session by polling is many requests, on connections that may go to any process; and so is the way to a WebSocket.
  const clients = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      connectClient(service.url, {
        transports: index % 2 === 0 ? ['polling'] : ['polling', 'websocket'],
        auth: { epoch: '', offset: 0 },
      }),
    ),
  );
  stops.push(async () => clients.forEach((client) => client.close()));
  for (let count = 1; count <= 10; count += 1) {
    const answer = await service.request('POST', '/internal/broadcast', { event: 'told', data: count }, headers);
    expect(answer.status).toBe(200);
  }
  // A process that is starved until its claim on Redis runs out tells its clients to read anew: they miss nothing unawares.
  const isToldAnew = ({ sessions }: LiveClient): boolean => sessions.length > 1;
  await eventually(
    async () => clients.every((client) => isToldAnew(client) || client.heard.length === 10),
    20_000,
  ).catch(() => undefined);
  const missed = clients.filter((client) => !isToldAnew(client) && client.heard.length !== 10);
  expect(missed.map(({ heard, sessions, willReconnect }) => ({ heard, sessions, willReconnect }))).toEqual([]);
  const whole = clients.filter((client) => !isToldAnew(client));
  for (const client of whole) expect(client.heard.map(([, data]) => data)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  expect(whole.length).toBeGreaterThan(0);
}, 60_000);

test('one that dies is replaced, and the others go on; SIGTERM ends all, and leaves nothing', async () => {
  const service = await startWorkers(2);
  const [victim = 0, other = 0] = processesOf(service);
  expect(readdirSync(service.temporary)).toHaveLength(1);
  process.kill(victim, 'SIGKILL');
  for (let count = 0; count < 20; count += 1) {
    // What was on its way to the process that died is lost, nothing else.
    const signal = AbortSignal.timeout(2_000);
    const answer = await fetch(`${service.url}/cache/posts`, { signal }).catch(() => undefined);
    expect([200, undefined]).toContain(answer?.status);
  }
  await service.line(/process \d+ ended \(SIGKILL\); another one in 100 ms/);
  await eventually(async () => startsOf(service) === 3);
  const all = processesOf(service);
  expect(all).toContain(other);
  expect(all).toHaveLength(2);
  service.signal('SIGTERM');
  expect(await service.ended).toMatchObject({ code: 0 });
  expect(readdirSync(service.temporary)).toEqual([]);
  expect(all.filter(isRunning)).toEqual([]);
}, 60_000);

test('all of them end when the one that started them is killed, and they leave nothing', async () => {
  const service = await startWorkers(2);
  const all = processesOf(service);
  service.signal('SIGKILL');
  await service.ended;
  await eventually(async () => readdirSync(service.temporary).length === 0);
  for (const pid of all) await eventually(async () => !isRunning(pid));
}, 60_000);

test('without servers that they share, or with a number that is none, they are refused', async () => {
  for (const [count, reason] of [
    ['2', '--workers needs Redis and a database'],
    ['0', '--workers must be a whole number from 1 to 256'],
    ['x', '--workers must be a whole number from 1 to 256'],
  ] as const) {
    const { code, errors } = await runVerb(['serve', '--workers', count]);
    expect([code, errors]).toEqual([2, expect.stringContaining(reason)]);
  }
  const { errors } = await runVerb(['migrate', '--workers', '2']);
  expect(errors).toContain("Unknown option '--workers'");
}, 60_000);

test('a scrape tells of all processes, by whichever it is answered, and of those that came later', async () => {
  const service = await startWorkers(2);
  const total = 30;
  for (let count = 0; count < total; count += 1) await service.get('/cache/posts/1');
  const scrape = async () => parseScrape((await service.get('/metrics')).text);
  const name = 'energex_cache_requests_total';
  for (let count = 0; count < 6; count += 1) {
    const { value, labelValues } = await scrape();
    expect(value(name, { resource: 'posts' })).toBe(total);
    expect(labelValues(name, 'worker').toSorted()).toEqual(['1', '2']);
    expect(labelValues('process_start_time_seconds', 'worker').toSorted()).toEqual(['1', '2']);
  }
  const [first = 0] = processesOf(service);
  process.kill(first, 'SIGKILL');
  await eventually(async () => startsOf(service) >= 3);
  // What it has left behind in the folder is no process.
  await eventually(async () => (await scrape()).labelValues(name, 'worker').includes('3'));
  expect((await scrape()).labelValues(name, 'worker')).toHaveLength(2);
});

test('a second port is shared as the first is, and ends with it', async () => {
  const port = await findFreePort();
  const service = await startWorkers(2, { INTERNAL_PORT: String(port) });
  const inside = `http://127.0.0.1:${port}`;
  expect((await service.get('/metrics')).status).toBe(404);
  await eventually(async () => {
    const { labelValues } = parseScrape(await (await fetch(`${inside}/metrics`)).text());
    return labelValues('process_start_time_seconds', 'worker').length === 2;
  });
  const stats = await runVerb(['stats', '--json'], {
    environment: {
      HOST: '127.0.0.1',
      PORT: String(service.port),
      INTERNAL_PORT: String(port),
      REALTIME_API_SECRET: 's',
    },
  });
  expect([stats.code, Object.keys(JSON.parse(stats.lines.join('\n')))]).toEqual([0, expect.arrayContaining(['rates'])]);
  service.signal('SIGTERM');
  expect((await service.ended).code).toBe(0);
  await expect(fetch(`${inside}/livez`)).rejects.toThrow();
}, 60_000);
