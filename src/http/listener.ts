import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { CatalogueError, describeError } from '../errors.ts';

/** Where the service listens, and how it stops to. */

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Throws `CatalogueError` `PORT_UNAVAILABLE`. */
export async function listen(app: FastifyInstance, place: Place): Promise<void> {
  await listenOn(place, () => app.listen({ ...place, listenTextResolver: (url) => `HTTP: listening on ${url}` }));
}

/** Throws `CatalogueError` `PORT_UNAVAILABLE` when `start` fails because of the address. */
export async function listenOn(place: Place, start: () => Promise<unknown>): Promise<void> {
  try {
    await start();
  } catch (error) {
    if (!isListenError(error)) throw error;
    const params = { address: addressOf(place), reason: describeError(error) };
    throw new CatalogueError('PORT_UNAVAILABLE', { params, cause: error });
  }
}

/**
 * Sends everybody away who is connected, then waits for requests in flight; those that take longer than `timeoutMs` are cut off.
 *
 * A connection that is closed while its client sends the next request fails that request, and nobody can tell whether it was
 * carried out. So those who ask are told to close, and connections that are silent are closed only after a while.
 */
export async function closeApp(app: FastifyInstance, timeoutMs: number): Promise<void> {
  const began = performance.now();
  app.sendAway();
  while (performance.now() - began < Math.min(silenceMs, timeoutMs) && (await connectionsOf(app.server)) > 0) {
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  const leftMs = Math.max(0, timeoutMs - (performance.now() - began));
  await draining(app.server, leftMs, () => app.close());
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => {
    // A server that does not listen has none.
    server.getConnections((_error, count) => resolve(server.listening ? count : 0));
  });
}

/** The same of a server that belongs to no application. */
export async function closeServer(server: Server, timeoutMs: number): Promise<void> {
  // The callback is called as well when it has never listened.
  await draining(server, timeoutMs, () => new Promise((resolve) => server.close(resolve)));
}

async function draining(server: Server, timeoutMs: number, close: () => PromiseLike<unknown>): Promise<void> {
  const cutOff = setTimeout(() => server.closeAllConnections(), timeoutMs);
  // Closing ends the connections that are idle then. One whose request is answered later was told to stay open.
  const sendAway = setInterval(() => server.closeIdleConnections(), closeIdleMs);
  try {
    await close();
  } finally {
    clearTimeout(cutOff);
    clearInterval(sendAway);
  }
}

export function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** As in a URL: an IPv6 address has brackets. */
export function addressOf({ host, port }: Place): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** `listen` failed because of the address, not because of a bug in the routes. */
function isListenError(error: unknown): boolean {
  const syscall: unknown = Object(error).syscall;
  return syscall === 'listen' || syscall === 'getaddrinfo';
}

const closeIdleMs = 20;
/** Who has not asked for that long will hardly do so in the very moment in which the connection is closed. */
const silenceMs = 1_000;
const lookMs = 20;
