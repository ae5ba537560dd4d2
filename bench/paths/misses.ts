import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { measurePeak } from '../load/wrk.ts';
import { type Candidate, type Rounds, runRounds, type Sample } from '../rounds.ts';
import { loadCore, pin, type PinnedProcess } from '../stage/pinned-process.ts';
import { addRows } from '../stage/rows.ts';
import { beginProfile, startDriver, startService } from '../stage/servers.ts';
import type { Stage } from '../stage/stage.ts';
import { measureDriver } from './driver.ts';
import { type Options, type Path, service } from './path.ts';
import { settled } from './settled.ts';

/** What the database must be asked for, beside the bare driver that asks the same. */
export const missPaths: readonly Path[] = [
  {
    name: 'rebuild',
    title: 'list of all posts, read after a write, one at a time',
    base: 'driver',
    figure: 'ms',
    targets: [{ candidate: service, to: 'driver', figure: 'ms', most: 1.2 }],
    run: runRebuilds,
  },
  {
    // The last one: it adds rows.
    name: 'miss',
    title: 'single posts that were never cached',
    base: 'driver',
    figure: 'rate',
    targets: [{ candidate: service, to: 'driver', figure: 'rate', least: 0.6 }],
    run: runMisses,
  },
];

const connections = 64;
/** More than are asked for in a second, by any candidate. */
const missesPerSecond = 20_000;

async function runMisses(stage: Stage, options: Options): Promise<Rounds> {
  const asked = Math.ceil(missesPerSecond * options.seconds);
  const greatest = await addRows(stage, asked * (options.rounds + 2) * options.checkouts.size + stage.posts);
  const ids = new Ids(greatest, asked);
  const driver = await startDriver(stage);
  const servers = new Map<string, PinnedProcess>();
  try {
    for (const [name, checkout] of options.checkouts) servers.set(name, await startService(stage, {}, checkout));
    for (const server of servers.values()) await settled(server.port);
    const candidates: Candidate[] = [...servers].map(([name, server]) => ({
      name,
      measure: () => measureMisses(stage, server, ids, options.seconds),
    }));
    const work = { work: 'item', from: 1, to: asked, concurrency: connections, seconds: options.seconds };
    candidates.push({ name: 'driver', measure: () => measureDriver(stage, driver, work) });
    for (const candidate of candidates) await candidate.measure();
    beginProfile(servers.values());
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of [driver, ...servers.values()]) await server.stop();
  }
}

/** Ids from the greatest down, no one twice. */
class Ids {
  #left: number;
  readonly #atOnce: number;

  constructor(greatest: number, atOnce: number) {
    this.#left = greatest;
    this.#atOnce = atOnce;
  }

  /** A file with paths, and how many. */
  next(stage: Stage): { readonly file: string; readonly count: number } {
    this.#left -= this.#atOnce;
    const file = join(stage.folder, `misses-${this.#left}.txt`);
    const paths = Array.from({ length: this.#atOnce }, (_, index) => `/cache/posts/${this.#left + index + 1}\n`);
    writeFileSync(file, paths.join(''));
    return { file, count: this.#atOnce };
  }
}

async function measureMisses(stage: Stage, server: PinnedProcess, ids: Ids, seconds: number): Promise<Sample> {
  const { file, count } = ids.next(stage);
  const [cpu, redis, database] = [server.cpuMicros(), (await stage.redisWork()).cpuMicros, stage.databaseCpuMicros()];
  const load = { connections, pathsFile: file, order: 'in-turn' } as const;
  const { requests, perSecond } = await measurePeak(server.port, load, seconds);
  if (requests > count) throw new Error(`${requests} requests for ${count} ids: some were hits`);
  return {
    rate: perSecond,
    cpu: (server.cpuMicros() - cpu) / requests,
    redisCpu: ((await stage.redisWork()).cpuMicros - redis) / requests,
    databaseCpu: (stage.databaseCpuMicros() - database) / requests,
  };
}

async function runRebuilds(stage: Stage, options: Options): Promise<Rounds> {
  pin(process.pid, loadCore);
  const driver = await startDriver(stage);
  const servers = new Map<string, PinnedProcess>();
  try {
    for (const [name, checkout] of options.checkouts) servers.set(name, await startService(stage, {}, checkout));
    for (const server of servers.values()) await settled(server.port);
    const candidates: Candidate[] = [...servers].map(([name, server]) => ({
      name,
      measure: () => measureRebuild(stage, server, options.seconds),
    }));
    const work = { work: 'list', from: 1, to: 1, concurrency: 1, seconds: options.seconds };
    candidates.push({ name: 'driver', measure: () => measureDriver(stage, driver, work) });
    for (const candidate of candidates) await candidate.measure();
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of [driver, ...servers.values()]) await server.stop();
  }
}

/** From the request to the last byte of the answer, each after a write that took the list away. */
async function measureRebuild(stage: Stage, server: PinnedProcess, seconds: number): Promise<Sample> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const until = performance.now() + seconds * 1000;
  const sums = { ms: 0, firstByteMs: 0, cpu: 0, redisCpu: 0, databaseCpu: 0 };
  let count = 0;
  do {
    count += 1;
    const body = JSON.stringify({ title: `rebuild ${Math.random()}` });
    await ask(agent, server.port, 'PUT', '/cache/posts/1', body);
    const [cpu, redis, database] = [server.cpuMicros(), (await stage.redisWork()).cpuMicros, stage.databaseCpuMicros()];
    const { ms, firstByteMs, status } = await ask(agent, server.port, 'GET', '/cache/posts');
    if (!status.includes('stored')) throw new Error(`the list was not built anew: ${status}`);
    sums.ms += ms;
    sums.firstByteMs += firstByteMs;
    sums.cpu += server.cpuMicros() - cpu;
    sums.redisCpu += (await stage.redisWork()).cpuMicros - redis;
    sums.databaseCpu += stage.databaseCpuMicros() - database;
  } while (performance.now() < until);
  agent.destroy();
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / count]));
}

function ask(
  agent: Agent,
  port: number,
  method: string,
  path: string,
  body?: string,
): Promise<{ readonly ms: number; readonly firstByteMs: number; readonly status: string }> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length };
    const asked = request({ agent, port, host: '127.0.0.1', method, path, headers }, (response) => {
      const firstByteMs = performance.now() - began;
      response.on('error', reject);
      response.on('data', () => undefined);
      response.on('end', () => {
        const status = String(response.headers['cache-status']);
        if (response.statusCode === 200) resolve({ ms: performance.now() - began, firstByteMs, status });
        else reject(new Error(`${method} ${path} was answered ${response.statusCode}`));
      });
    });
    asked.on('error', reject);
    asked.end(body);
  });
}
