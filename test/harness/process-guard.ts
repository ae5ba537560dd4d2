import { spawn } from 'node:child_process';

/** Kills a server and removes its folder when the process that started it is gone, however it went. */
export type ProcessGuard = {
  /** Which process to kill; `undefined` while none runs. */
  watch(pid: number | undefined): void;
  /** Kills the watched process, removes the folder, and resolves when both are done. Idempotent. */
  release(): Promise<void>;
};

// The end of the input is the signal: the kernel closes the pipe when our process ends, even by SIGKILL. The guard has
// a session of its own, so that it outlives a Ctrl-C or a kill of our process group. The wait is bounded because a
// killed process stays visible where nobody reaps orphans, as in containers without an init.
const SCRIPT = `
trap '' INT TERM HUP
pid=none
while read -r line; do pid=$line; done
if [ "$pid" != none ]; then
  kill -KILL "$pid" 2>/dev/null
  turns=0
  while kill -0 "$pid" 2>/dev/null && [ $turns -lt 20 ]; do sleep 0.05; turns=$((turns + 1)); done
fi
rm -rf -- "$1"
`;

export function startProcessGuard(folder: string): ProcessGuard {
  const guard = spawn('sh', ['-c', SCRIPT, 'test-server-guard', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  const ended = new Promise<void>((resolve) => {
    guard.on('exit', () => resolve());
    guard.on('error', () => resolve());
  });
  guard.stdin.on('error', () => {});
  // A test that forgets to stop its server must not keep its process alive: ending is what makes the guard clean up.
  guard.unref();
  if ('unref' in guard.stdin && typeof guard.stdin.unref === 'function') guard.stdin.unref();
  return {
    watch(pid) {
      guard.stdin.write(`${pid ?? 'none'}\n`);
    },
    release() {
      guard.ref();
      guard.stdin.end();
      return ended;
    },
  };
}
