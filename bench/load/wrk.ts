import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { loadCore, pinned } from '../stage/pinned-process.ts';

const run = promisify(execFile);
const wrk = '/usr/bin/wrk';
/** From Debian's package `wrk`. */
export const hasWrk = existsSync(wrk);

export interface Peak {
  readonly requests: number;
  readonly perSecond: number;
  /** Of an answer, head and body, in bytes on the wire. */
  readonly bytes: number;
}

/** Requests as fast as they are answered, over `connections`; the paths in turn or at random. */
export function measurePeak(port: number, load: Load, seconds: number): Promise<Peak> {
  const headers = Object.entries(load.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const flags = [`-c${load.connections}`, `-d${seconds}s`, ...headers];
  return runScript(port, 'paths.lua', flags, [load.order ?? 'random', load.pathsFile]);
}

/** Updates as fast as they are answered, each of a row at random of those with the ids from 1 to `rows`. */
export function measureUpdates(port: number, connections: number, rows: number, seconds: number): Promise<Peak> {
  const mark = `load ${Math.random().toString(36).slice(2)}`;
  return runScript(port, 'updates.lua', [`-c${connections}`, `-d${seconds}s`], [String(rows), mark]);
}

/**
 * Reads of posts at random out of those with the ids from 1 to `rows`. `core` is where the load runs, `mostRefused` the share
 * of answers that may be errors.
 */
export function measureReads(
  port: number,
  { rows, connections, seconds, ...more }: { rows: number; connections: number; seconds: number } & More,
): Promise<Peak> {
  return runScript(port, 'ids.lua', [`-c${connections}`, `-d${seconds}s`], [String(rows)], more);
}

async function runScript(
  port: number,
  script: string,
  flags: readonly string[],
  rest: readonly string[],
  { core = loadCore, mostRefused = 0 } = {},
): Promise<Peak> {
  const file = new URL(script, import.meta.url).pathname;
  const command = [wrk, '-t1', '--timeout', '60s', ...flags, '-s', file, `http://127.0.0.1:${port}`, '--', ...rest];
  const [program, args] = pinned(core, command);
  const { stdout } = await run(program, args);
  const [, requests, read, unit = '', rate] =
    /(\d+) requests in \S+, ([\d.]+)(\w+) read[\s\S]*Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  const [failed, refused] = /Non-2xx or 3xx responses: (\d+)|Socket errors: .*/.exec(stdout) ?? [];
  const isTolerable = refused !== undefined && Number(refused) <= mostRefused * Number(requests);
  if (failed !== undefined && !isTolerable) throw new Error(`the answers were not what was asked for: ${failed}`);
  const bytes = (Number(read) * 1024 ** ['B', 'KB', 'MB', 'GB'].indexOf(unit)) / Number(requests);
  return { requests: Number(requests), perSecond: Number(rate), bytes };
}

interface More {
  readonly core?: string;
  readonly mostRefused?: number;
}

export interface Load {
  readonly connections: number;
  /** A path a line. */
  readonly pathsFile: string;
  readonly order?: 'random' | 'in-turn';
  readonly headers?: Readonly<Record<string, string>>;
}
