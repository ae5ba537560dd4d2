import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import { type Clock, pause } from '../cache/clock.ts';
import { neighbourFolder } from '../realtime/neighbours.ts';

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
  #stopping = false;

  constructor(count: number, log: Logger, clock: Clock) {
    this.#count = count;
    this.#log = log;
    this.#clock = clock;
  }

  async start(): Promise<void> {
    await mkdir(neighbourFolder(process.pid), { mode: 0o700 });
    this.#log.info(`Workers: ${this.#count} on ${availableParallelism()} processors`);
    for (let count = 0; count < this.#count; count += 1) this.#keepers.push(this.#keepOne());
  }

  /** Starts one, and another one in its place whenever it ends. */
  async #keepOne(): Promise<void> {
    let restMs = 0;
    while (!this.#stopping) {
      const began = this.#clock.now();
      const worker = cluster.fork();
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
    await rm(neighbourFolder(process.pid), { recursive: true, force: true });
  }
}

const leastRestMs = 100;
const mostRestMs = 30_000;
/** One that lasted for so long did not fail at its start. */
const lastingMs = 10_000;
