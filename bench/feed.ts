/**
 * How long after a commit of another program is it out of the cache, and heard by a browser? And how long does the feed take
 * to notice a fault and to recover? On MySQL and MariaDB, with a real Redis.
 *
 *   npm run bench:feed
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection } from 'mysql2/promise';
import { io } from 'socket.io-client';
import { type CacheEvent, cacheChannel } from '../src/cache/channels.ts';
import { type DatabaseFlavour, startDatabaseServer } from '../test/harness/database-server.ts';
import type { FeedStage } from '../test/harness/feed.ts';
import { startRedis } from '../test/harness/redis-server.ts';
import { startServiceProcess } from '../test/harness/service-process.ts';
import { startProxy } from '../test/harness/tcp-proxy.ts';

// The harness wants to know of servers that the tests share; there are none here.
const folder = await mkdtemp(join(tmpdir(), 'energex-cache-bench-'));
process.env['TEST_SERVERS_FILE'] = join(folder, 'servers.json');
await writeFile(join(folder, 'servers.json'), '[]');
const { dial } = await import('../test/harness/databases.ts');
const { environmentOf } = await import('../test/harness/service.ts');
const stages = await import('../test/harness/feed.ts');

const rates = [
  { perSecond: 1, seconds: 20 },
  { perSecond: 100, seconds: 10 },
  { perSecond: 1_000, seconds: 10 },
];
const mostRows = 10_000;

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function show(name: string, times: readonly number[]): void {
  const sorted = times.toSorted((a, b) => a - b);
  const [p50, p99] = [quantile(sorted, 0.5), quantile(sorted, 0.99)];
  console.log(`  ${name.padEnd(34)} p50 ${p50.toFixed(1).padStart(7)} ms   p99 ${p99.toFixed(1).padStart(7)} ms`);
}

interface Written {
  /** When the answer to each COMMIT came, by the id of the row. */
  readonly committed: ReadonlyMap<string, number>;
  readonly writes: readonly number[];
  readonly tookMs: number;
}

/** Writes at a steady rate, whether or not the writes before have ended, each to a row of its own. */
async function writeAt(stage: FeedStage, perSecond: number, total: number): Promise<Written> {
  const committed = new Map<string, number>();
  const connections: Connection[] = [];
  for (let count = 0; count < 8; count += 1) connections.push(await dial(stage.schema));
  const writes: number[] = [];
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let id = 1; id <= total; id += 1) {
    const due = began + (id - 1) * (1_000 / perSecond);
    const wait = due - performance.now();
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
    const sent = performance.now();
    const write = async (): Promise<void> => {
      const connection = connections[id % connections.length];
      await connection?.query('UPDATE posts SET title = ? WHERE id = ?', [`${sent}`, id]);
      committed.set(String(id), performance.now());
      writes.push(performance.now() - sent);
    };
    pending.push(write());
  }
  await Promise.all(pending);
  const tookMs = performance.now() - began;
  for (const connection of connections) connection.destroy();
  return { committed, writes, tookMs };
}

function showDelays(name: string, committed: Written['committed'], arrived: ReadonlyMap<string, number>): void {
  show(
    name,
    [...committed].map(([id, at]) => (arrived.get(id) ?? Infinity) - at),
  );
}

async function measureRate(stage: FeedStage, perSecond: number, seconds: number): Promise<void> {
  const invalidated = new Map<string, number>();
  const note = (message: unknown): void => {
    // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as CacheEvent;
    if (event.type !== 'invalidate') return;
    for (const name of event.names) {
      const id = name.slice('post:'.length);
      if (!invalidated.has(id)) invalidated.set(id, performance.now());
    }
  };
  const heardBefore = stage.events.heard.length;
  const total = perSecond * seconds;
  cacheChannel.subscribe(note);
  const { committed, writes, tookMs } = await writeAt(stage, perSecond, total);
  const ended = performance.now();
  await until(() => stage.events.heard.length - heardBefore >= total);
  const caughtUp = performance.now() - ended;
  cacheChannel.unsubscribe(note);
  console.log(
    `${perSecond} writes/s (${Math.round((1_000 * total) / tookMs)}/s reached; told of all ${caughtUp.toFixed(0)} ms after the last)`,
  );
  show('the write itself', writes);
  showDelays('commit -> invalidated', committed, invalidated);
}

/** The whole way: another program commits, and a browser hears of it. */
async function measureBrowser(stage: FeedStage, redis: { url: string }): Promise<void> {
  const service = await startServiceProcess({
    environment: { ...environmentOf(redis, stage.schema), CHANGE_FEED: 'binlog', LOG_REQUESTS: 'false' },
  });
  await service.line(/Change feed: following/);
  const socket = io(service.url, { transports: ['websocket'] });
  await new Promise((resolve) => socket.on('connect', () => resolve(undefined)));
  for (const { perSecond, seconds } of rates) {
    const heard = new Map<string, number>();
    socket.on('post_updated', ({ id }: { id: number }) => heard.set(String(id), performance.now()));
    const total = perSecond * seconds;
    const { committed } = await writeAt(stage, perSecond, total);
    await until(() => heard.size >= total);
    showDelays(`${perSecond} writes/s: commit -> browser`, committed, heard);
    socket.removeAllListeners('post_updated');
  }
  socket.close();
  await service.stop();
}

async function measureFaults(stage: FeedStage, server: Awaited<ReturnType<typeof startDatabaseServer>>): Promise<void> {
  const proxy = await startProxy(server);
  const feed = stage.feed({}, proxy);
  await until(() => feed.state.name === 'following');
  const timed = async (
    name: string,
    fault: () => Promise<void> | void,
    mend: () => Promise<void> | void,
  ): Promise<void> => {
    const began = performance.now();
    await fault();
    await until(() => feed.state.name !== 'following');
    const noticed = performance.now() - began;
    const mending = performance.now();
    await mend();
    const mended = performance.now();
    await until(() => feed.state.name === 'following');
    console.log(
      `  ${name.padEnd(34)} noticed after ${noticed.toFixed(0)} ms; following ${(performance.now() - mended).toFixed(0)} ms after it was mended (which took ${(mended - mending).toFixed(0)} ms)`,
    );
  };
  const write = async (): Promise<void> => {
    const connection = await dial(stage.schema);
    await connection.query("UPDATE posts SET title = CONCAT(title, '.') WHERE id = 1");
    connection.destroy();
  };
  const nothing = (): void => undefined;
  await timed('connections reset', () => proxy.reset(), nothing);
  await timed(
    'server killed and started',
    () => server.kill(),
    () => server.restart(),
  );
  await timed(
    'server stopped (SIGSTOP)',
    () => server.pause(),
    () => server.resume(),
  );
  await timed(
    'black hole',
    async () => {
      proxy.blackHole();
      await write();
    },
    () => proxy.restore(),
  );
  await feed.stop();
  await proxy.close();
}

async function measureTakeover(stage: FeedStage, redis: { url: string }): Promise<void> {
  const environment = { ...environmentOf(redis, stage.schema), CHANGE_FEED: 'binlog' };
  const times: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    const leader = await startServiceProcess({ environment });
    await leader.line(/Change feed: following/);
    const other = await startServiceProcess({ environment });
    await other.line(/Change feed: waiting/);
    const began = performance.now();
    leader.signal('SIGKILL');
    await other.line(/Change feed: following/);
    times.push(performance.now() - began);
    await leader.stop();
    await other.stop();
  }
  show('leader killed -> other follows', times);
}

for (const flavour of ['mysql', 'mariadb'] satisfies DatabaseFlavour[]) {
  const [server, redis] = await Promise.all([
    startDatabaseServer(flavour, { ownProcess: true }),
    startRedis({ ownProcess: true }),
  ]);
  console.log(`\n${flavour} ${server.version}`);
  const stage = await stages.FeedStage.open(server, redis);
  await stage.addPosts(1, mostRows);
  const feed = stage.feed();
  await stage.following(feed);
  for (const { perSecond, seconds } of rates) await measureRate(stage, perSecond, seconds);
  await feed.stop();
  await measureBrowser(stage, redis);
  await measureTakeover(stage, redis);
  await measureFaults(stage, server);
  await stage.close();
  await Promise.all([server.stop(), redis.stop()]);
}
await rm(folder, { recursive: true });
