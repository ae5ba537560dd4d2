import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LOOPBACK } from './free-port.ts';

/** Serves the pages of a frontend, from memory. */
export type PageServer = {
  /** The origin of its pages. */
  readonly url: string;
  /** Path and content; the ending of the path tells the type. */
  add(path: string, content: string | Buffer): void;
  stop(): Promise<void>;
};

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

export async function startPageServer(): Promise<PageServer> {
  const files = new Map<string, string | Buffer>();
  const server = createServer((request, response) => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const content = files.get(path);
    const type = types[path.replace(/^.*\./, '')] ?? 'application/octet-stream';
    // Browsers ask for an icon by themselves.
    if (content === undefined) response.writeHead(path === '/favicon.ico' ? 204 : 404).end();
    else response.writeHead(200, { 'content-type': type }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  // A server that listens on a port has such an address.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${LOOPBACK}:${port}`,
    add: (path, content) => void files.set(path, content),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
