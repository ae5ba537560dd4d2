/**
 * Slow and greedy clients: what they take of memory, whether they are cut, and what others notice of it. The others ask for a
 * hot post 200 times a second, in an open loop.
 *
 *   npm run bench:hostile -- --seconds 20 [--only 'idle live clients']
 */
import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { type Attack, attacks } from './hostile/clients.ts';
import { settled } from './paths/settled.ts';
import { loadCore, type PinnedProcess, pin, pinned } from './stage/pinned-process.ts';
import { startService } from './stage/servers.ts';
import { openStage, root, type Stage } from './stage/stage.ts';

const run = promisify(execFile);
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, only: { type: 'string' } },
});
const secret = 'a secret of the benchmark, 32 long';

async function main(seconds: number): Promise<void> {
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
  pin(process.pid, loadCore);
  const stage = await openStage(10_000);
  try {
    const chosen = attacks.filter(({ name }) => values.only === undefined || name === values.only);
    for (const attack of chosen) await measure(stage, attack, seconds);
  } finally {
    await stage.close();
  }
}

/** Each meets a service of its own. */
async function measure(stage: Stage, attack: Attack, seconds: number): Promise<void> {
  const service = await startService(stage, { REALTIME_API_SECRET: secret, SOCKETS_PER_ADDRESS: '20000' });
  try {
    await settled(service.port);
    await settled(service.port, '/cache/posts');
    const quiet = await probe(stage, service, 5);
    const before = service.residentMb();
    const began = performance.now();
    const { sockets, stop } = await attack.begin({ port: service.port, secret });
    const openedMs = performance.now() - began;
    let most = service.residentMb();
    const watch = setInterval(() => {
      most = Math.max(most, service.residentMb());
    }, 100);
    const cpu = service.cpuMicros();
    const during = await probe(stage, service, seconds);
    const share = (service.cpuMicros() - cpu) / seconds / 1e4;
    clearInterval(watch);
    stop();
    const open = sockets.filter((socket) => socket.readyState === 'open').length;
    const metrics = await (await fetch(`http://127.0.0.1:${service.port}/metrics`)).text();
    const live = Number(/^energex_ws_connections (\d+)/m.exec(metrics)?.[1]);
    for (const socket of sockets) socket.destroy();
    console.log(
      [
        `${attack.name}: ${attack.count} within ${(openedMs / 1_000).toFixed(1)} s, after ${seconds} s ${open} not closed, ${live} of them live`,
        `memory ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most`,
        `processor ${share.toFixed(0)} %`,
        `others p50 / p99 in ms: ${quiet} before, ${during} meanwhile`,
      ].join('; '),
    );
  } finally {
    await service.stop();
  }
}

async function probe(stage: Stage, { port }: PinnedProcess, seconds: number): Promise<string> {
  const paths = join(stage.folder, 'probe.txt');
  writeFileSync(paths, '/cache/posts/1\n');
  const args = [join(root, 'bench/load/open-loop.ts'), String(port), paths, '200', String(seconds)];
  const [program, rest] = pinned(loadCore, [process.execPath, ...args]);
  const { stdout } = await run(program, rest);
  const { p50, p99 } = Object(JSON.parse(stdout));
  return `${Number(p50).toFixed(1)} / ${Number(p99).toFixed(1)}`;
}

await main(Number(values.seconds));
