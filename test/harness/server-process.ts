import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, open, readFile, realpath, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findFreePort } from './free-port.ts';
import { type ProcessGuard, startProcessGuard } from './process-guard.ts';

export type ServerPlan = {
  /** Name in messages. */
  readonly label: string;
  readonly command: string;
  readonly arguments: (port: number) => readonly string[];
  /** Folder of our own, made by `makeServerFolder`: holds the log, and is removed with everything in it on stop. */
  readonly folder: string;
  readonly port?: number;
  /** Resolves when the server answers, and is the very process `pid`; throws when it doesn't yet. Bounded by itself. */
  readonly probe: (port: number, pid: number) => Promise<void>;
  readonly startTimeoutMs: number;
};

const POLL_MS = 15;
const PORT_ATTEMPTS = 10;
const PORT_RETRY_MS = 100;
const TERM_TIMEOUT_MS = 10_000;
const LOG_TAIL_BYTES = 3_000;

export async function makeServerFolder(label: string): Promise<string> {
  // Without symbolic links: servers report the real path, by which a probe recognises its own.
  return mkdtemp(join(await realpath(tmpdir()), `energex-cache-test-${label}-`));
}

/**
 * A server program as a child process.
 *
 * It is either down (`#child` undefined) or up; `start` and `restart` bring it up, `kill`, `stop` or its own crash take
 * it down. A pause doesn't change that: a paused process is up, and merely silent. After `stop` it stays down.
 */
export class ServerProcess {
  readonly #plan: ServerPlan;
  readonly #guard: ProcessGuard;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #port: number | undefined;
  #stopped: Promise<void> | undefined;

  constructor(plan: ServerPlan) {
    this.#plan = plan;
    this.#port = plan.port;
    this.#guard = startProcessGuard(plan.folder);
  }

  get port(): number {
    if (this.#port === undefined) throw new Error(`${this.#plan.label} was not started`);
    return this.#port;
  }

  /** Undefined while the process is down. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process and resolves when it answers; on failure everything is taken away again. */
  async start(): Promise<void> {
    try {
      await this.#bringUp();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Same port, same data: an orderly end if the process is still up, then a new start. */
  async restart(): Promise<void> {
    if (this.#stopped !== undefined) throw new Error(`${this.#plan.label} was stopped for good`);
    await this.terminate();
    await this.#bringUp();
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM, with SIGKILL as the last resort. Nothing happens to a process that is down. */
  async terminate(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.ref();
    child.kill('SIGTERM');
    // A paused process receives its SIGTERM only when it goes on.
    child.kill('SIGCONT');
    const lastResort = setTimeout(() => child.kill('SIGKILL'), TERM_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(lastResort);
  }

  /** SIGSTOP; resolves when the process stands still. */
  async pause(): Promise<void> {
    const pid = this.#signal('SIGSTOP');
    const deadline = Date.now() + 2_000;
    while (!(await isStandingStill(pid))) {
      if (Date.now() > deadline) throw new Error(`${this.#plan.label} goes on after SIGSTOP`);
      await delay(1);
    }
  }

  /** SIGCONT. */
  async resume(): Promise<void> {
    this.#signal('SIGCONT');
  }

  /** Ends the process at once, for its data goes too, and removes its folder. Idempotent. */
  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#child?.ref();
      this.#child?.kill('SIGKILL');
      await this.#exited;
      await this.#guard.release();
    })();
    return this.#stopped;
  }

  #signal(signal: NodeJS.Signals): number {
    const child = this.#child;
    if (child?.pid === undefined) throw new Error(`${this.#plan.label} is not running`);
    child.ref();
    child.kill(signal);
    if (signal !== 'SIGKILL') child.unref();
    return child.pid;
  }

  async #bringUp(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const port = this.#port ?? (await findFreePort());
      const complaint = await this.#launch(port);
      if (complaint === undefined) {
        this.#port = port;
        return;
      }
      const portTaken = /address already in use/i.test(complaint);
      if (!portTaken || attempt === PORT_ATTEMPTS) {
        throw new Error(`${this.#plan.label} did not start on port ${port}: ${complaint}`);
      }
      // A port that was asked for, or that clients know from before a restart, can only be waited for.
      if (this.#port !== undefined) await delay(PORT_RETRY_MS);
    }
  }

  /** Resolves with undefined when the server answers, or with what went wrong. */
  async #launch(port: number): Promise<string | undefined> {
    const logFile = join(this.#plan.folder, 'server.log');
    const log = openSync(logFile, 'a');
    const logStart = (await stat(logFile)).size;
    // Detached: a Ctrl-C at the terminal is for the tests, which then end their servers in their own order.
    const child = spawn(this.#plan.command, this.#plan.arguments(port), {
      detached: true,
      stdio: ['ignore', log, log],
      cwd: this.#plan.folder,
    });
    closeSync(log);
    this.#guard.watch(child.pid);
    let ended: string | undefined;
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      const end = (reason: string): void => {
        ended ??= reason;
        if (this.#child === child) {
          this.#child = undefined;
          this.#guard.watch(undefined);
        }
        resolve();
      };
      child.on('error', (error) => end(error.message));
      child.on('exit', (code, signal) => end(`ended with ${code ?? signal}`));
    });
    const failure = await this.#untilAnswering(port, child, () => ended);
    if (failure === undefined) {
      child.unref();
      return undefined;
    }
    child.kill('SIGKILL');
    await this.#exited;
    return `${failure}\n${await readTail(logFile, logStart)}`;
  }

  async #untilAnswering(
    port: number,
    child: ChildProcess,
    ended: () => string | undefined,
  ): Promise<string | undefined> {
    const deadline = Date.now() + this.#plan.startTimeoutMs;
    let lastError: unknown;
    while (Date.now() < deadline) {
      try {
        if (child.pid !== undefined) await this.#plan.probe(port, child.pid);
        if (child.pid !== undefined && ended() === undefined) return undefined;
      } catch (error) {
        lastError = error;
      }
      const end = ended();
      if (end !== undefined) return end;
      await delay(POLL_MS);
    }
    return `no answer within ${this.#plan.startTimeoutMs} ms (${String(lastError)})`;
  }
}

async function readTail(file: string, from: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const start = Math.max(from, size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(LOG_TAIL_BYTES), position: start });
    return buffer.toString('utf8', 0, bytesRead).trim() || '(its log is empty)';
  } finally {
    await handle.close();
  }
}

/** Linux tells a stopped process by the letter T behind its name; where there is no /proc the signal must do. */
async function isStandingStill(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status === undefined || /^\d+ \(.*\) [Tt]/s.test(status);
}
