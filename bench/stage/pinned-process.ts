import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { createInterface } from 'node:readline';

/**
 * Processes that are kept to one processor: what is measured has the first for itself, the load and all that it leans on
 * (Redis, the database, the load generator) has the second.
 */
export const serverCore = '0';
export const loadCore = '1';
export const everyCore = '0,1';

export interface PinnedProcess {
  readonly pid: number;
  readonly port: number;
  /** Processor time used so far, in microseconds. */
  cpuMicros(): number;
  /** Memory in use, in MiB. */
  residentMb(): number;
  stop(): Promise<void>;
}

const hasTaskset = existsSync('/usr/bin/taskset');

/** The command, kept to a processor where `taskset` is there. */
export function pinned(core: string, command: readonly string[]): [string, string[]] {
  const [program = '', ...rest] = hasTaskset ? ['taskset', '-c', core, ...command] : command;
  return [program, rest];
}

/** Starts a server that says `listening on ...port` and resolves with its port. */
export async function startPinned(
  core: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  cwd?: string,
): Promise<PinnedProcess> {
  const [program, args] = pinned(core, command);
  const child = spawn(program, args, {
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', ALLOW_OPEN_WRITES: 'true', ...environment },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const port = await portOf(child, command.join(' '));
  const pid = child.pid ?? 0;
  return {
    pid,
    port,
    cpuMicros: () => cpuMicrosOf(pid),
    residentMb: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The line may be JSON of the log. */
async function portOf({ stdout }: ChildProcess, name: string): Promise<number> {
  if (stdout === null) throw new Error('no standard output');
  const lines = createInterface({ input: stdout });
  for await (const line of lines) {
    const port = /listening on (?:http:\/\/[^:]+:)?(\d+)/.exec(line)?.[1];
    if (port === undefined) continue;
    stdout.resume();
    return Number(port);
  }
  throw new Error(`${name} ended before it listened`);
}

/** User and system time of a process with all its threads and ended children: fields 14 to 17 of `stat`, in ticks of 10 ms. */
export function cpuMicrosOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Moves a process that runs already, with all its threads. */
export function pin(pid: number | undefined, core: string): void {
  if (hasTaskset && pid !== undefined)
    execFileSync('taskset', ['-a', '-c', '-p', core, String(pid)], { stdio: 'ignore' });
}

/** All threads of a process come behind those of others that want the same processor; its new threads too. */
export function lowerPriority(pid: number | undefined): void {
  if (process.platform !== 'linux' || pid === undefined) return;
  for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), constants.priority.PRIORITY_LOW);
}
