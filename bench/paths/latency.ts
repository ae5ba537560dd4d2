import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { measurePeak } from '../load/wrk.ts';
import { type Candidate, type Rounds, runRounds } from '../rounds.ts';
import { loadCore, type PinnedProcess, pinned } from '../stage/pinned-process.ts';
import { root, type Stage } from '../stage/stage.ts';
import { type Options, type Path, service } from './path.ts';
import { items, openServers, settle } from './reads.ts';

/**
 * Latency in an open loop, at half the rate that the slowest of the candidates has at its peak: all of them are asked for the
 * same number of requests a second.
 */
const run = promisify(execFile);

export const latencyPaths: readonly Path[] = [
  { name: 'hot-p99', title: 'p99 of the hot post at half the peak rate', paths: () => ['/cache/posts/1'] },
  { name: 'uniform-p99', title: 'p99 of 10,000 posts uniformly at half the peak rate', paths: items },
].map(({ name, title, paths }) => ({
  name,
  title,
  base: 'raw',
  figure: 'p99',
  targets: [{ candidate: service, to: 'raw', figure: 'p99', most: 1.5 }],
  run: (stage, options) => runLatency(stage, paths(stage.posts), options),
}));

async function runLatency(stage: Stage, paths: readonly string[], options: Options): Promise<Rounds> {
  const servers = await openServers(stage, options.checkouts);
  try {
    await settle(stage, servers, paths);
    const pathsFile = join(stage.folder, 'latency.txt');
    writeFileSync(pathsFile, `${paths.join('\n')}\n`);
    const peaks: number[] = [];
    for (const { port } of servers.values()) {
      peaks.push((await measurePeak(port, { connections: 64, pathsFile }, options.seconds)).perSecond);
    }
    const rate = Math.floor(Math.min(...peaks) / 2);
    const candidates: Candidate[] = [...servers].map(([name, server]) => ({
      name,
      measure: () => measureLatency(server, pathsFile, rate, options.seconds * 2),
    }));
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}

async function measureLatency(server: PinnedProcess, pathsFile: string, rate: number, seconds: number) {
  const script = join(root, 'bench/load/open-loop.ts');
  const args = [script, String(server.port), pathsFile, String(rate), String(seconds)];
  const [program, rest] = pinned(loadCore, [process.execPath, ...args]);
  const cpu = server.cpuMicros();
  const { stdout } = await run(program, rest);
  const { p50, p99 } = Object(JSON.parse(stdout));
  return { p50: Number(p50), p99: Number(p99), cpu: (server.cpuMicros() - cpu) / (rate * seconds), rate };
}
