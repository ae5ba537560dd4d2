import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Redis } from 'ioredis';
import { type Rounds, runRounds, type Sample } from '../rounds.ts';
import { loadCore, type PinnedProcess, pinned } from '../stage/pinned-process.ts';
import { startService } from '../stage/servers.ts';
import { hasRedisBenchmark } from '../stage/redis-floor.ts';
import { root, type Stage } from '../stage/stage.ts';
import type { Options, Path } from './path.ts';
import { items, warm } from './reads.ts';
import { settled } from './settled.ts';

const run = promisify(execFile);
/** Requests a second to each instance. */
const spreadRate = 100;

/**
 * What Redis and the database do for each instance that is there, whether anybody asks it for something or not. The
 * difference of two rows, by the difference of their instances, is the cost of one.
 */
export const instancePaths: readonly Path[] = [
  {
    name: 'idle',
    title: 'instances of which nothing is asked, per second',
    base: nameOf(1),
    figure: 'redisCpu',
    targets: [],
    run: (stage, options) => runIdle(stage, options, {}),
  },
  {
    name: 'idle-feed',
    title: 'the same with a change feed, which one of them follows',
    base: nameOf(1),
    figure: 'redisCpu',
    targets: [],
    run: (stage, options) => runIdle(stage, options, { CHANGE_FEED: 'binlog' }),
  },
  {
    name: 'events',
    title: 'live events, each heard by all instances, per event',
    base: nameOf(1),
    figure: 'redisCpu',
    targets: [],
    run: runEvents,
  },
  {
    name: 'spread',
    title: `hits of 10,000 posts, ${spreadRate} a second and instance, per request`,
    base: nameOf(1),
    figure: 'redisCpu',
    targets: [],
    run: runSpread,
  },
  {
    name: 'questions',
    title: 'the version of one key of 10,000, asked for by 1,000 connections of redis-benchmark, per question',
    base: asked(1),
    figure: 'redisCpu',
    targets: [],
    run: runQuestions,
  },
  {
    name: 'event-reads',
    title:
      'what an instance reads of the event log for one event, sent by 1,000 connections of redis-benchmark, per event',
    base: 'redis-benchmark',
    figure: 'redisCpu',
    targets: [],
    run: runEventReads,
  },
  {
    name: 'notices',
    title: 'a notice on a channel, per notice, by those who listen',
    base: listeners(1),
    figure: 'redisCpu',
    targets: [],
    run: runNotices,
  },
];

function nameOf(count: number): string {
  return count === 1 ? '1 instance' : `${count} instances`;
}

function asked(together: number): string {
  return `${together} together`;
}

function listeners(count: number): string {
  return count === 1 ? '1 listener' : `${count} listeners`;
}

const counts = [1, 9];
/** An instance looks at things up to once in some seconds. */
const idleSeconds = 10;
/** Processor time is hardly touched by what else the machine does. */
const mostRounds = 5;
const eventsPerSample = 200;
const questions = 300_000;
const secret = 'secret-of-a-benchmark-that-nobody-else-knows';

/** Measures with so many instances, after these have settled, one count after the other. */
async function withEach(
  stage: Stage,
  options: Options,
  settings: Readonly<Record<string, string>>,
  measure: (servers: readonly PinnedProcess[]) => Promise<Sample>,
): Promise<Rounds> {
  const samples = new Map<string, Sample[]>();
  const servers: PinnedProcess[] = [];
  try {
    for (const count of counts) {
      while (servers.length < count) servers.push(await startService(stage, settings));
      for (const { port } of servers) await settled(port);
      const own: Sample[] = [];
      samples.set(nameOf(count), own);
      for (let round = 0; round < Math.min(options.rounds, mostRounds); round += 1) own.push(await measure(servers));
    }
    return samples;
  } finally {
    for (const server of servers) await server.stop();
  }
}

function runIdle(stage: Stage, options: Options, settings: Readonly<Record<string, string>>): Promise<Rounds> {
  return withEach(stage, options, settings, async (servers) => {
    const before = await workOf(stage, servers);
    await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1_000));
    return per(idleSeconds, before, await workOf(stage, servers));
  });
}

function runEvents(stage: Stage, options: Options): Promise<Rounds> {
  return withEach(stage, options, { REALTIME_API_SECRET: secret }, async (servers) => {
    const before = await workOf(stage, servers);
    for (let count = 0; count < eventsPerSample; count += 1) await tell(servers[0]?.port ?? 0, count);
    return per(eventsPerSample, before, await workOf(stage, servers));
  });
}

/** Few requests on each of many instances: hardly any questions that depart together, as far from the peak as can be. */
function runSpread(stage: Stage, options: Options): Promise<Rounds> {
  const pathsFile = join(stage.folder, 'spread.txt');
  writeFileSync(pathsFile, `${items(stage.posts).join('\n')}\n`);
  const script = join(root, 'bench/load/open-loop.ts');
  return withEach(stage, options, {}, async (servers) => {
    const ask = async ({ port }: PinnedProcess, seconds: number): Promise<unknown> => {
      const args = [script, String(port), pathsFile, String(spreadRate), String(seconds)];
      return JSON.parse((await run(...pinned(loadCore, [process.execPath, ...args]))).stdout);
    };
    // What is in memory for the first time was read from Redis.
    await Promise.all(servers.map((server) => warm(server.port, items(stage.posts))));
    const before = await workOf(stage, servers);
    const answers = await Promise.all(servers.map((server) => ask(server, idleSeconds)));
    const sample = per(spreadRate * idleSeconds * servers.length, before, await workOf(stage, servers));
    return { ...sample, p50: Number(Object(answers[0]).p50), p99: Number(Object(answers[0]).p99) };
  });
}

/** Without the service: a command costs Redis the more, the more connections there are. Nothing where redis-benchmark is missing. */
async function runQuestions(stage: Stage, options: Options): Promise<Rounds> {
  if (!hasRedisBenchmark) return new Map();
  const guard = '{bench:__rand_int__}:guard';
  await costOf(stage, ['HSET', guard, 'version', 'run.1.database.1', 'meta', 'x', 'load_ms', '1'], 16);
  return await runRounds(
    [1, 16].map((together) => ({
      name: asked(together),
      measure: async () => ({ redisCpu: await costOf(stage, ['HGET', guard, 'version'], together) }),
    })),
    options.rounds,
  );
}

/**
 * The very commands that an instance sends after an event, again and again: as many instances would, when Redis is busy. One
 * by one on an idle Redis they cost several times as much (path `events`).
 */
async function runEventReads(stage: Stage, options: Options): Promise<Rounds> {
  if (!hasRedisBenchmark) return new Map();
  const server = await startService(stage, { REALTIME_API_SECRET: secret });
  const watcher = await stage.redis.monitor();
  try {
    await settled(server.port);
    await tell(server.port, 1);
    const sent: string[][] = [];
    watcher.on('monitor', (_time: string, args: string[]) => sent.push(args));
    await tell(server.port, 2);
    const reads = await eventually(() => {
      const found = sent.filter(([name, ...rest]) => name?.toLowerCase() === 'evalsha' && rest.at(-1) === mostPerRead);
      return found.length === 0 ? undefined : found;
    });
    return await runRounds(
      [
        {
          name: 'redis-benchmark',
          measure: async () => {
            const costs: number[] = [];
            for (const command of reads) costs.push(await costOf(stage, command));
            return { redisCpu: costs.reduce((sum, each) => sum + each, 0), reads: reads.length };
          },
        },
      ],
      options.rounds,
    );
  } finally {
    watcher.disconnect();
    await server.stop();
  }
}

/** Of `src/realtime/tail.ts`: by it a reading of the log is known. */
const mostPerRead = '200';

async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const found = look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('no instance reads the event log');
}

/** Redis, in microseconds of processor time, for a command that 1,000 connections send. */
async function costOf(stage: Stage, command: readonly string[], together = 1): Promise<number> {
  const { host, port } = stage.redis.options;
  const server = ['-h', String(host), '-p', String(port), '-q', '-n', String(questions), '-r', '10000', '-c', '1000'];
  const before = (await stage.redisWork()).cpuMicros;
  await run(...pinned(loadCore, ['redis-benchmark', ...server, '-P', String(together), ...command]));
  return ((await stage.redisWork()).cpuMicros - before) / questions;
}

/** Without the service: what it costs Redis to wake one more. */
async function runNotices(stage: Stage, options: Options): Promise<Rounds> {
  const samples = new Map<string, Sample[]>();
  const clients: Redis[] = [];
  try {
    for (const count of [1, 101]) {
      while (clients.length < count) {
        const client = stage.redis.duplicate();
        clients.push(client);
        await client.subscribe('bench:grown');
      }
      const own: Sample[] = [];
      samples.set(listeners(count), own);
      for (let round = 0; round < options.rounds; round += 1) {
        const before = (await stage.redisWork()).cpuMicros;
        for (let notice = 0; notice < eventsPerSample; notice += 1) await stage.redis.publish('bench:grown', '');
        own.push({ redisCpu: ((await stage.redisWork()).cpuMicros - before) / eventsPerSample });
      }
    }
    return samples;
  } finally {
    for (const client of clients) client.disconnect();
  }
}

async function tell(port: number, data: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/internal/broadcast`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-internal-secret': secret },
    body: JSON.stringify({ event: 'told', data }),
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`a broadcast was answered ${response.status}`);
}

/** Processor time so far, in microseconds. */
async function workOf(stage: Stage, servers: readonly PinnedProcess[]): Promise<Sample> {
  return {
    redisCpu: (await stage.redisWork()).cpuMicros,
    databaseCpu: stage.databaseCpuMicros(),
    cpu: servers.reduce((sum, server) => sum + server.cpuMicros(), 0),
  };
}

function per(divisor: number, before: Sample, after: Sample): Sample {
  return Object.fromEntries(
    Object.entries(after).map(([name, value]) => [name, (value - (before[name] ?? 0)) / divisor]),
  );
}
