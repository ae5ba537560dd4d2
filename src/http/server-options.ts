import type { IncomingMessage, Server, ServerOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import { CatalogueError } from '../errors.ts';

/** What both ports have in common, and what Node would answer by itself otherwise: without a word of why, or not at all. */
export function serverOptions(requestTimeoutMs: number): ServerOptions {
  return {
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    // Node looks for requests that are too slow this often: often enough that not too many are cut at a time.
    connectionsCheckingInterval: 100,
    // `requireHost` says why.
    requireHostHeader: false,
    shouldUpgradeCallback: isLive,
  };
}

/** Before anybody else listens. */
export function tameServer(server: Server): void {
  // What else a client expects than `100-continue` may be ignored (RFC 9110, section 10.1.1).
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
  // Node before 24.9 does not ask. Nobody would end such a connection.
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    if (!isLive(request)) socket.destroy();
  });
}

/** Another upgrade than that of live events is ignored, and the request answered as it stands (RFC 9110, section 7.8). */
function isLive({ url = '', headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === 'websocket' && url.startsWith('/socket.io/');
}

/** Throws `CatalogueError` `BAD_REQUEST` without exactly one `Host` (RFC 9112, section 3.2). HTTP/1.0 knows none. */
export function requireHost({ rawHeaders, httpVersionMinor }: IncomingMessage): void {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === host.length && name.toLowerCase() === host) hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && httpVersionMinor > 0)) throw new CatalogueError('BAD_REQUEST');
}

const host = 'host';
