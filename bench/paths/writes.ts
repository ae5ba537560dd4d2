import { measureUpdates } from '../load/wrk.ts';
import { type Candidate, type Rounds, runRounds } from '../rounds.ts';
import { startDriver, startService } from '../stage/servers.ts';
import type { PinnedProcess } from '../stage/pinned-process.ts';
import type { Stage } from '../stage/stage.ts';
import { measureDriver } from './driver.ts';
import { type Options, type Path, service } from './path.ts';
import { settled } from './settled.ts';

/**
 * Updates under as much load as is answered, each with fence, COMMIT, release and live event. Beside the bare driver that does
 * by hand what a service without a cache would do to answer the same request, and beside the least transaction that changes
 * a row, which could answer nothing, without and with the share of the barrier.
 */
export const writePaths: readonly Path[] = [
  {
    name: 'write',
    title: 'updates of single posts at random',
    base: 'driver put',
    figure: 'rate',
    targets: [{ candidate: service, to: 'driver put', figure: 'rate', least: 0.8 }],
    run: runWrites,
  },
];

const connections = 64;

async function runWrites(stage: Stage, options: Options): Promise<Rounds> {
  const driver = await startDriver(stage);
  const servers = new Map<string, PinnedProcess>();
  try {
    for (const [name, checkout] of options.checkouts) servers.set(name, await startService(stage, {}, checkout));
    for (const server of servers.values()) await settled(server.port);
    const candidates: Candidate[] = [...servers].map(([name, server]) => ({
      name,
      measure: () => measureService(stage, server, options.seconds),
    }));
    const load = { from: 1, to: stage.posts, concurrency: connections, seconds: options.seconds };
    for (const work of ['put', 'update', 'barrier']) {
      candidates.push({
        name: `driver ${work}`,
        measure: () => measureDriver(stage, driver, { ...load, work }),
      });
    }
    for (const candidate of candidates) await candidate.measure();
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of [driver, ...servers.values()]) await server.stop();
  }
}

async function measureService(stage: Stage, server: PinnedProcess, seconds: number) {
  const [cpu, redis, database] = [server.cpuMicros(), (await stage.redisWork()).cpuMicros, stage.databaseCpuMicros()];
  const { requests, perSecond } = await measureUpdates(server.port, connections, stage.posts, seconds);
  // What was under way when the load ended is done once the list can be cached again.
  await settled(server.port, '/cache/posts?limit=1');
  return {
    rate: perSecond,
    cpu: (server.cpuMicros() - cpu) / requests,
    redisCpu: ((await stage.redisWork()).cpuMicros - redis) / requests,
    databaseCpu: (stage.databaseCpuMicros() - database) / requests,
  };
}
