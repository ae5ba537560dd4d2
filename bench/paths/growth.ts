import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fenceTable, placesWith } from '../../src/redis/place.ts';
import { metaIn, sealed, sumOf } from '../../src/redis/seal.ts';
import { measureReads } from '../load/wrk.ts';
import { type Candidate, type Rounds, runRounds, type Sample } from '../rounds.ts';
import { everyCore, type PinnedProcess } from '../stage/pinned-process.ts';
import { startRaw, startRawCluster, startService, startWorkers } from '../stage/servers.ts';
import type { Stage } from '../stage/stage.ts';
import { type Options, type Path, service } from './path.ts';
import { settled } from './settled.ts';

/** What grows, and what that costs. */
export const growthPaths: readonly Path[] = [
  ...[1, 1_000, 100_000, 1_000_000].map(
    (count): Path => ({
      name: `keys-${count}`,
      title: `hits, with ${count.toLocaleString('en')} cached posts in Redis`,
      base: 'raw',
      figure: 'rate',
      targets: [],
      run: (stage, options) => runKeys(stage, count, options),
    }),
  ),
  {
    name: 'workers',
    title: 'hot post, one and two workers; the load shares the processors with them',
    base: `${service}, 1`,
    figure: 'rate',
    targets: [],
    run: runWorkers,
  },
];

/** The database does not have these posts: nobody may look, neither the audit nor who waits too long for Redis. */
const patience = { REDIS_TIMEOUT_MS: '2000', REDIS_BULK_TIMEOUT_MS: '2000', AUDIT_PER_MILLION: '0' };
/** On a busy machine the claim on Redis may lapse for a moment; the database is asked then, which lacks these posts. */
const mostRefused = 0.05;
const connections = 64;
/** As many as are asked for all the time; they fit into L1 many times over. */
const hot = 1_000;
const placeOf = placesWith('', () => fenceTable);
const entriesPerCall = 2_000;
const keptForMs = 3_600_000;
const bodyBytes = 600;

async function runKeys(stage: Stage, count: number, options: Options): Promise<Rounds> {
  await stage.redis.flushall();
  const raw = await startRaw(stage, Buffer.alloc(bodyBytes, ' '));
  const memory = await startService(stage, patience);
  const small = await startService(stage, { ...patience, MEMORY_TIER_MB: '1' });
  try {
    for (const { port } of [memory, small]) await settled(port);
    await addEntries(stage, count);
    const candidates: Candidate[] = [
      { name: 'raw', measure: () => measure(stage, raw, 1, options) },
      { name: 'L1', measure: () => measure(stage, memory, Math.min(hot, count), options) },
    ];
    // Fewer than these are all in L1, however small it is.
    if (count > 2 * hot) {
      candidates.push(
        { name: 'Redis', measure: () => measure(stage, small, count, options) },
        { name: 'uniform', measure: () => measure(stage, memory, count, options) },
      );
    }
    for (const candidate of candidates) await candidate.measure();
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of [raw, memory, small]) await server.stop();
  }
}

/** Like that of post 1, which is there. */
async function addEntries({ redis }: Stage, count: number): Promise<void> {
  const script = readFileSync(join(import.meta.dirname, '../load/entries.lua'), 'utf8');
  const value = await redis.getBuffer('post:1');
  const [version, text] = await redis.hmget('{post:1}:guard', 'version', 'meta');
  if (value === null || !version || !text) throw new Error('post 1 is not cached');
  const beside = { meta: metaIn(text), loadMs: 1 };
  const entryOf = (id: number): string[] => {
    const place = placeOf(`post:${id}`);
    const own = `${version}post:${id}`;
    return [own, sealed(place, own, beside), sumOf(place, own, value)];
  };
  for (let from = 2; from <= count; from += entriesPerCall) {
    const ids = Array.from({ length: Math.min(entriesPerCall, count - from + 1) }, (_, nth) => from + nth);
    await redis.eval(script, 0, 1, from, keptForMs, ...ids.flatMap(entryOf));
  }
}

async function measure(stage: Stage, server: PinnedProcess, rows: number, { seconds }: Options): Promise<Sample> {
  const [cpu, redis] = [server.cpuMicros(), (await stage.redisWork()).cpuMicros];
  const { requests, perSecond } = await measureReads(server.port, { rows, connections, seconds, mostRefused });
  return {
    rate: perSecond,
    cpu: (server.cpuMicros() - cpu) / requests,
    redisCpu: ((await stage.redisWork()).cpuMicros - redis) / requests,
    residentMb: server.residentMb(),
  };
}

async function runWorkers(stage: Stage, options: Options): Promise<Rounds> {
  const servers = new Map<string, PinnedProcess>();
  try {
    for (const count of [1, 2]) servers.set(`${service}, ${count}`, await startWorkers(stage, count));
    for (const server of servers.values()) await settled(server.port);
    for (const count of [1, 2]) {
      servers.set(`raw, ${count}`, await startRawCluster(stage, Buffer.alloc(bodyBytes, ' '), count));
    }
    const candidates: Candidate[] = [...servers].map(([name, { port }]) => ({
      name,
      measure: async () => {
        const load = { rows: 1, connections, seconds: options.seconds, core: everyCore };
        return { rate: (await measureReads(port, load)).perSecond };
      },
    }));
    for (const candidate of candidates) await candidate.measure();
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}
