/**
 * Many sockets on one instance: what each takes of memory, and how long an event is on its way to the last of them, beside
 * a round trip of one HTTP request to the same instance. The clients are in other processes.
 *
 *   npm run bench:sockets -- --sockets 5000
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';
import { startRedis } from '../test/harness/redis-server.ts';
import { type ServiceProcess, startServiceProcess } from '../test/harness/service-process.ts';
import { createSchema } from '../test/harness/database-schema.ts';
import { startDatabaseServer } from '../test/harness/database-server.ts';

const events = 200;
const perProcess = 1_250;

type FromClients =
  | { readonly kind: 'connected' }
  | { readonly kind: 'heard'; readonly count: number; readonly at: number };

/** Connects `sockets` clients, and tells when the last of them has heard each event. Times are those of the machine. */
async function beClients(url: string, sockets: number): Promise<void> {
  const heard = new Map<number, number>();
  const now = (): number => performance.timeOrigin + performance.now();
  for (let count = 0; count < sockets; count += 1) {
    const socket = io(url, { forceNew: true, transports: ['websocket'], auth: { epoch: null } });
    socket.on('told', (event: number) => {
      const known = (heard.get(event) ?? 0) + 1;
      heard.set(event, known);
      if (known === sockets) process.send?.({ kind: 'heard', count: event, at: now() } satisfies FromClients);
    });
    await new Promise((resolve) => socket.once('connect', () => resolve(undefined)));
  }
  process.send?.({ kind: 'connected' } satisfies FromClients);
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** A service of its own on real servers. */
async function startService(): Promise<{ service: ServiceProcess; stop: () => Promise<void> }> {
  const [redis, server] = await Promise.all([
    startRedis({ ownProcess: true }),
    startDatabaseServer('mysql', { ownProcess: true }),
  ]);
  const schema = await createSchema(server);
  const service = await startServiceProcess({
    environment: {
      NODE_ENV: 'production',
      ALLOW_OPEN_WRITES: 'true',
      HOST: '127.0.0.1',
      PORT: '0',
      REDIS_URL: redis.url,
      DB_HOST: schema.host,
      DB_PORT: String(schema.port),
      DB_USERNAME: schema.username,
      DB_PASSWORD: schema.password,
      DB_DATABASE: schema.name,
      REALTIME_API_SECRET: 's',
      SOCKETS_PER_ADDRESS: '100000',
      LOG_REQUESTS: 'false',
    },
  });
  await service.line(/is in use/);
  const stop = async (): Promise<void> => {
    await service.stop();
    await Promise.all([redis.stop(), server.stop()]);
  };
  return { service, stop };
}

async function measure(sockets: number): Promise<void> {
  const { service, stop } = await startService();
  const tell = (data: unknown) =>
    service.request('POST', '/internal/broadcast', { event: 'told', data }, { 'x-internal-secret': 's' });
  const now = (): number => performance.timeOrigin + performance.now();
  const trips: number[] = [];
  for (let count = 0; count < events; count += 1) {
    const began = now();
    await tell(-1);
    trips.push(now() - began);
  }
  const before = residentMb(service.pid);
  const processes = Math.ceil(sockets / perProcess);
  const share = Math.floor(sockets / processes);
  const last = new Map<number, number[]>();
  const waiting = new Map<number, () => void>();
  const children = await Promise.all(
    Array.from({ length: processes }, async () => {
      const child = fork(import.meta.filename, ['--url', service.url, '--sockets', String(share)]);
      const connected = Promise.withResolvers<void>();
      child.on('message', (message: FromClients) => {
        if (message.kind === 'connected') {
          connected.resolve();
          return;
        }
        const times = [...(last.get(message.count) ?? []), message.at];
        last.set(message.count, times);
        if (times.length === processes) waiting.get(message.count)?.();
      });
      await connected.promise;
      return child;
    }),
  );
  const after = residentMb(service.pid);
  const delays: number[] = [];
  for (let count = 0; count < events; count += 1) {
    const arrived = new Promise<void>((resolve) => waiting.set(count, resolve));
    const began = now();
    await tell(count);
    await arrived;
    delays.push(Math.max(...(last.get(count) ?? [])) - began);
  }
  for (const child of children) child.kill();
  await stop();
  const connected = share * processes;
  const show = (values: readonly number[]): string =>
    `p50 ${quantile(values, 0.5).toFixed(1)} ms, p99 ${quantile(values, 0.99).toFixed(1)} ms`;
  console.log(
    `${connected} sockets: ${(((after - before) * 1_024) / connected).toFixed(1)} KiB each (${before.toFixed()} -> ${after.toFixed()} MiB)`,
  );
  console.log(`publish to the last socket: ${show(delays)}`);
  console.log(`POST /internal/broadcast with nobody connected: ${show(trips)}`);
  console.log(`per socket: ${((quantile(delays, 0.5) * 1_000) / connected).toFixed(2)} us`);
}

const { values } = parseArgs({ options: { sockets: { type: 'string', default: '5000' }, url: { type: 'string' } } });
if (values.url === undefined) await measure(Number(values.sockets));
else await beClients(values.url, Number(values.sockets));
