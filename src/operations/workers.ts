import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { type Clock, pause } from '../cache/clock.ts';
import type { Environment } from '../config.ts';

/**
 * `serve --workers N`: N processes that share one port, and a primary that answers nothing itself. Each is an instance like
 * any other: they share nothing but Redis and the database.
 *
 *   started -> serving -> ended   and started anew, later and later while none of them lasts
 */
export class Workers {
  readonly #count: number;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #keepers: Promise<void>[] = [];
  readonly #running = new Set<Worker>();
  #folder = '';
  #stopping = false;

  constructor(count: number, log: Logger, clock: Clock) {
    this.#count = count;
    this.#log = log;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    // A name that nobody can foresee, and that no earlier primary has left behind: in a container all have the same id.
    this.#folder = await mkdtemp(join(tmpdir(), 'energex-cache-'));
    this.#log.info(`Workers: ${this.#count} on ${availableParallelism()} processors`);
    for (let count = 0; count < this.#count; count += 1) this.#keepers.push(this.#keepOne());
  }

  /** Starts one, and another one in its place whenever it ends. */
  async #keepOne(): Promise<void> {
    let restMs = 0;
    while (!this.#stopping) {
      const began = this.#clock.now();
      const worker = cluster.fork({ [folderVariable]: this.#folder });
      this.#running.add(worker);
      const [code, signal] = await once(worker, 'exit');
      this.#running.delete(worker);
      if (this.#stopping) return;
      restMs =
        this.#clock.now() - began > lastingMs ? leastRestMs : Math.min(mostRestMs, Math.max(leastRestMs, restMs * 2));
      this.#log.error(`Workers: process ${worker.process.pid} ended (${signal ?? code}); another one in ${restMs} ms`);
      await pause(this.#clock, restMs);
    }
  }

  /** Lets all of them drain; who has not ended after `ms` milliseconds is killed. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true;
    for (const { process: each } of this.#running) each.kill('SIGTERM');
    const all = Promise.all([...this.#running].map(async (worker) => await once(worker, 'exit')));
    await Promise.race([all, this.#clock.sleep(ms)]);
    for (const { process: each } of this.#running) each.kill('SIGKILL');
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** What a process of `--workers` knows of itself: the number it has, and the folder where it finds the others. */
export interface Part {
  readonly number: string;
  readonly folder: string;
}

/** Undefined in a process that is none of several. */
export function ownPart(environment: Environment): Part | undefined {
  const { worker } = cluster;
  const folder = environment[folderVariable];
  if (worker === undefined || folder === undefined) return undefined;
  // Node ends a worker whose primary is gone; a primary that was killed leaves the folder to them.
  process.once('exit', () => {
    if (!worker.isConnected()) rmSync(folder, { recursive: true, force: true });
  });
  return { number: String(worker.id), folder };
}

/** Between the primary and its workers only: no setting. */
const folderVariable = 'ENERGEX_CACHE_WORKERS_FOLDER';

const leastRestMs = 100;
const mostRestMs = 30_000;
/** One that lasted for so long did not fail at its start. */
const lastingMs = 10_000;
