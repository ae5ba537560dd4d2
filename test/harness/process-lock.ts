import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Runs `work` while no other process on this machine runs work under the same name.
 *
 * The lock is a listening socket in Linux' abstract namespace: the kernel frees it when its holder dies, so there are
 * no stale lock files, and a waiter connects to the holder and is told of the release by the end of the connection
 * instead of polling. Elsewhere there is no such namespace and `work` simply runs: everything done under a lock here
 * ends in a rename, so that a race costs time, not correctness.
 */
export async function withProcessLock<T>(name: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  if (process.platform !== 'linux') return work();
  // The address may have 107 bytes at most, a path may be longer: hence the hash.
  const address = `\0energex-cache-service.${createHash('sha256').update(name).digest('hex')}`;
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const held = await tryToHold(address);
    if (held !== undefined) {
      try {
        return await work();
      } finally {
        held.release();
      }
    }
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) throw new Error(`another process has held the lock "${name}" for over ${timeoutMs} ms`);
    await waitForRelease(address, leftMs);
  }
}

type Held = { release(): void };

function tryToHold(address: string): Promise<Held | undefined> {
  return new Promise((resolve, reject) => {
    const waiters = new Set<Socket>();
    const server: Server = createServer((socket) => {
      waiters.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => waiters.delete(socket));
    });
    server.on('error', (error) => {
      if ('code' in error && error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => {
      resolve({
        release() {
          server.close();
          for (const socket of waiters) socket.destroy();
        },
      });
    });
  });
}

function waitForRelease(address: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const timer = setTimeout(() => socket.destroy(), timeoutMs);
    // An error means that the holder went away before we reached it: 'close' follows, and the caller tries again.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
  });
}
