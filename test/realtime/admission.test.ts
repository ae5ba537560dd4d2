import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../src/cache/clock.ts';
import { StoreUnavailable } from '../../src/cache/store.ts';
import { MemoryEventLog } from '../../src/realtime/memory-event-log.ts';
import { SocketServer } from '../../src/realtime/socket-server.ts';
import { event } from '../contracts/event-log.ts';
import { eventually } from '../harness/eventually.ts';
import { connectClient, type LiveClient } from '../harness/live-client.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** Clients come before an instance that was just started can reach the event log. */

const stops = stopAfterEach();

async function open() {
  let count = 0;
  const unique = (): string => `epoch-${(count += 1)}`;
  const log = new MemoryEventLog({ mostEntries: 10, mostBytes: 1e6, longestMs: 1e9, now: systemClock.now, unique });
  const readTail = log.tail.bind(log);
  let looks = 0;
  log.tail = () => {
    looks += 1;
    return Promise.reject(new StoreUnavailable('away'));
  };
  let now = 0;
  const clock = { ...systemClock, now: () => now };
  const http = createServer();
  const options = {
    origins: [],
    isOwnPage: () => false,
    mostPerAddress: 10,
    trustedProxies: [],
    isRoom: () => true,
    neighbours: undefined,
  };
  const sockets = new SocketServer(http, log, clock, options);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  stops.push(async () => {
    await sockets.close();
    await new Promise((resolve) => http.close(resolve));
  });
  const { port } = http.address() as AddressInfo;
  let client: LiveClient | undefined;
  const connecting = connectClient(`http://127.0.0.1:${port}`, { auth: { epoch: null } }).then((connected) => {
    client = connected;
    stops.push(async () => connected.close());
    return connected;
  });
  await eventually(async () => looks > 3);
  expect(client).toBeUndefined();
  return {
    log,
    connecting,
    reachLog: () => void (log.tail = readTail),
    pass: (ms: number) => void (now += ms),
  };
}

test('they are let in once it follows the log', async () => {
  const { log, connecting, reachLog } = await open();
  reachLog();
  const client = await connecting;
  await log.append([event('heard')]);
  await client.hears(1);
  expect(client.heard.map(([, data]) => data)).toEqual(['heard']);
});

test('they are not kept waiting when it is away for long, and are told when something may have been missed', async () => {
  const { log, connecting, reachLog, pass } = await open();
  pass(5_000);
  const client = await connecting;
  await eventually(async () => client.sessions.length === 1);
  await log.append([event('missed')]);
  reachLog();
  await log.append([event('missed too')]);
  await eventually(async () => client.sessions.length === 2);
  expect(client.sessions).toEqual([
    { epoch: null, offset: null, recovered: false },
    { ...(await log.tail()), recovered: false },
  ]);
  expect(client.heard).toEqual([]);
});
