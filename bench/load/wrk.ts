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
}

/** Requests as fast as they are answered, over `connections`; the paths in turn or at random. */
export async function measurePeak(port: number, load: Load, seconds: number): Promise<Peak> {
  const script = new URL('paths.lua', import.meta.url).pathname;
  const headers = Object.entries(load.headers ?? {}).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const target = [`http://127.0.0.1:${port}`, '--', load.order ?? 'random', load.pathsFile];
  const flags = ['-t1', `-c${load.connections}`, `-d${seconds}s`, ...headers, '-s', script];
  const [program, args] = pinned(loadCore, [wrk, ...flags, ...target]);
  const { stdout } = await run(program, args);
  const failed = /Non-2xx or 3xx responses: \d+|Socket errors: .*/.exec(stdout);
  if (failed !== null) throw new Error(`the answers were not what was asked for: ${failed[0]}`);
  const [, requests, rate] = /(\d+) requests in[\s\S]*Requests\/sec:\s+([\d.]+)/.exec(stdout) ?? [];
  return { requests: Number(requests), perSecond: Number(rate) };
}

export interface Load {
  readonly connections: number;
  /** A path a line. */
  readonly pathsFile: string;
  readonly order?: 'random' | 'in-turn';
  readonly headers?: Readonly<Record<string, string>>;
}
