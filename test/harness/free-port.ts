import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

export const LOOPBACK = '127.0.0.1';

// Below the range that kernels give to outgoing connections (32768 and up on Linux, 49152 elsewhere): a port of that
// range could be taken by any connection while its server is down, and a client that dials such a port on the
// loopback may even be connected to itself.
const LOWEST = 12_000;
const HIGHEST = 32_000;
const TRIES = 50;

/**
 * A port that was free a moment ago. Another process may take it before it is used: whoever binds it must be ready
 * to come back for another one.
 */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${LOWEST} and ${HIGHEST} in ${TRIES} tries`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
