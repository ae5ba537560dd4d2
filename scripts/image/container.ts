import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { runCommand } from '../../test/harness/run-command.ts';
import type { ImageConfig } from './examination.ts';

/**
 * What a container engine would do with the image, without one: its root file system read-only, a tmpfs as /tmp, processes of
 * its own (so that the entry point is process 1), the user of the image, no new privileges, and of our environment nothing
 * but the path. It shares our network.
 */
const prepare = `
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t tmpfs -o size=16m,mode=1777 tmpfs "$root/tmp"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"`;

const pollMs = 20;
const programTimeoutMs = 60_000;

export type Image = { readonly tree: string; readonly config: ImageConfig };
export type Start = {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
};

export type Container = {
  /** All that it has printed. */
  printed(): string;
  /** The file of /proc that tells of its process 1. */
  status(): string;
  /** SIGTERM to process 1; resolves with how that ended. */
  terminate(): Promise<{ readonly code: number | null; readonly afterMs: number }>;
  kill(): Promise<void>;
};

/** Starts a program, and waits until `isReady`. */
export async function startContainer(
  image: Image,
  start: Start,
  { isReady, timeoutMs }: { readonly isReady: () => Promise<boolean>; readonly timeoutMs: number },
): Promise<Container> {
  const [file = '', ...args] = commandLine(image, start);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exit = once(child, 'exit');
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const pid = (): number => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim());
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exit;
  };
  const deadline = performance.now() + timeoutMs;
  while (!(await isReady())) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await kill();
      throw new Error(`not ready within ${timeoutMs} ms:\n${text}`);
    }
    await delay(pollMs);
  }
  return {
    printed: () => text,
    status: () => readFileSync(`/proc/${pid()}/status`, 'utf8'),
    async terminate() {
      const began = performance.now();
      process.kill(pid(), 'SIGTERM');
      const [code] = await exit;
      return { code, afterMs: performance.now() - began };
    },
    kill,
  };
}

/** Runs a program to its end, and resolves with its standard output. */
export async function runInContainer(image: Image, start: Start): Promise<string> {
  const [file = '', ...args] = commandLine(image, start);
  return await runCommand(file, args, { timeoutMs: programTimeoutMs });
}

function commandLine({ tree, config }: Image, { command, environment }: Start): string[] {
  const settings = { PATH: process.env['PATH'] ?? '', ...config.environment, ...environment };
  const pairs = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  const apart = ['unshare', '--mount', '--pid', '--fork', '--kill-child'];
  return ['env', '-i', ...pairs, ...apart, 'sh', '-c', prepare, 'container', tree, config.user, ...command];
}
