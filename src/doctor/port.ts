import { createServer } from 'node:net';
import { describeError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { fail, type Finding, ok, warn } from './finding.ts';

const id = 'port';
const healthTimeoutMs = 2_500;

/** Of both ports, where there are two. */
export async function examinePorts(settings: Settings): Promise<Finding[]> {
  const { HOST, INTERNAL_HOST = HOST, INTERNAL_PORT } = settings;
  const found = [await examinePort(settings)];
  if (INTERNAL_PORT !== undefined) {
    const { id: _id, ...finding } = await examinePort({ HOST: INTERNAL_HOST, PORT: INTERNAL_PORT });
    found.push({ id: 'internal-port', ...finding });
  }
  return found;
}

/** Whether the service could listen; where somebody does already, whether that is an instance of it. */
export async function examinePort({ HOST: host, PORT: port }: Pick<Settings, 'HOST' | 'PORT'>): Promise<Finding> {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const error = await tryToListen(host, port);
  if (error === undefined) return ok(id, port === 0 ? 'PORT is 0: a free one is taken' : `${where} is free`);
  const code = Reflect.get(error, 'code');
  if (code === 'EADDRINUSE') {
    const health = await askHealth(host, port);
    if (health === 'ok') return ok(id, `an instance of the service listens on ${where}, and is well`);
    if (health !== undefined) {
      return warn(id, {
        finding: `an instance of the service listens on ${where}, and is not well: ${health}`,
        meaning: 'What it needs is away, or it is going down.',
        remedy: `curl -s http://${reachable(host)}:${port}/cache/health`,
      });
    }
  }
  const remedies: Readonly<Record<string, string>> = {
    EADDRINUSE: `ss -ltnp 'sport = :${port}'   # says who; stop it, or PORT=...`,
    EACCES: 'PORT=4000   # ports below 1024 are for root',
    EADDRNOTAVAIL: 'HOST=0.0.0.0   # no interface of this machine has that address',
  };
  return fail(id, {
    finding: `cannot listen on ${where}: ${describeError(error)}`,
    meaning: 'The service does not start.',
    remedy: remedies[String(code)] ?? 'HOST=0.0.0.0 PORT=4000',
  });
}

function tryToListen(host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

/** `ok`, what is wrong, or `undefined` when it is another program. */
async function askHealth(host: string, port: number): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${reachable(host)}:${port}/cache/health`, {
      signal: AbortSignal.timeout(healthTimeoutMs),
      headers: { connection: 'close' },
    });
    const body: unknown = await response.json();
    const services: unknown = Object(body).services;
    if (typeof services !== 'object' || services === null) return undefined;
    return response.status === 200 ? 'ok' : JSON.stringify(services);
  } catch {
    return undefined;
  }
}

/** An address that leads to who listens on `host`. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}
