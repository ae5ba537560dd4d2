import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { CatalogueError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { serverOptions, tameServer } from './server-options.ts';
import { closeServer, listenOn, type Place, portOf } from './listener.ts';

/**
 * A second port, for those who run the service (`INTERNAL_PORT`): `/internal`, `/metrics`, the probes and the dashboard are
 * there alone, and on the public port they are paths that do not exist. All else is on both, since the dashboard reads posts
 * and hears live events from where it came.
 *
 * What comes here is handed to the listeners of the public server, so that there is one way for all requests. It is known by
 * the request itself, and a route by its pattern and not by the URL, of which there are many ways to write one.
 */
class InternalListener {
  readonly #app: FastifyInstance;
  readonly #place: Place;
  readonly #server: Server;
  readonly #arrived = new WeakSet<IncomingMessage>();

  /** Before the routes of `app` are added. */
  constructor(app: FastifyInstance, place: Place, requestTimeoutMs: number) {
    this.#app = app;
    this.#place = place;
    this.#server = createServer(serverOptions(requestTimeoutMs));
    tameServer(this.#server);
    for (const event of ['request', 'upgrade'] as const) {
      this.#server.on(event, (request: IncomingMessage, ...more: unknown[]) => {
        this.#arrived.add(request);
        app.server.emit(event, request, ...more);
      });
    }
    this.#server.on('clientError', (...told) => app.server.emit('clientError', ...told));
    app.addHook('onRequest', async (request) => {
      if (isInternal(request.routeOptions.url) && !this.#arrived.has(request.raw)) {
        throw new CatalogueError('ROUTE_NOT_FOUND');
      }
    });
  }

  /** Throws `CatalogueError` `PORT_UNAVAILABLE`. */
  async listen(): Promise<void> {
    await this.#app.ready();
    await listenOn(this.#place, () => startListening(this.#server, this.#place));
    this.#app.log.info(`HTTP: listening on port ${this.port} for operators`);
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** After the public server has closed: until then the probes tell that it drains. */
  async close(): Promise<void> {
    await closeServer(this.#server, graceMs);
  }
}

/** `undefined` without `INTERNAL_PORT`. */
export function openInternalListener(app: FastifyInstance, settings: ListenerSettings): InternalListener | undefined {
  const { HOST, INTERNAL_HOST: host = HOST, INTERNAL_PORT: port } = settings;
  return port === undefined ? undefined : new InternalListener(app, { host, port }, settings.REQUEST_TIMEOUT_MS);
}

type ListenerSettings = Pick<Settings, 'HOST' | 'INTERNAL_HOST' | 'INTERNAL_PORT' | 'REQUEST_TIMEOUT_MS'>;

function startListening(server: Server, place: Place): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** By the pattern of a route; `undefined` for a path that has none. */
function isInternal(pattern: string | undefined): boolean {
  return pattern !== undefined && internal.test(pattern);
}

/** The pattern of files may have an asterisk behind it. */
const internal = /^\/(?:internal|metrics|livez|readyz|dashboard)(?![\w-])/;
/** For answers that are on their way. */
const graceMs = 200;
