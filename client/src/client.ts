import { io, type ManagerOptions, type SocketOptions } from 'socket.io-client';
import type { Observable } from './collections.ts';
import type { ConnectionState, LiveSocket } from './connection.ts';
import { ClientCore, type Handshake } from './core.ts';
import { type AllCollections, mapResources } from './generated.ts';
import { systemTiming, type Timing } from './timing.ts';

export type { Collections, Observable } from './collections.ts';
export type { ConnectionState, OfflineReason } from './connection.ts';
export type * from './generated.ts';
export { CacheProblem, type FieldProblem } from './problem.ts';
export type { Timing } from './timing.ts';
export type { Snapshot } from './view.ts';

export interface ClientOptions {
  /** Where the service is: `https://cache.example.com`. */
  readonly url: string;
  readonly fetch?: typeof fetch;
  /** For `socket.io-client`: transports, path and the like. */
  readonly socket?: Partial<ManagerOptions & SocketOptions>;
  /** Hear only of these: `posts`, `post:42`. Collections outside of them cannot be had. */
  readonly rooms?: readonly string[];
  /** How many answers are kept for conditional reads, and how many bytes of them. 200 and 16 MiB by default. */
  readonly mostEntries?: number;
  readonly mostBytes?: number;
  /** Over how long the reads of all clients are spread that have missed something at the same time. 2,000 by default. */
  readonly spreadMs?: number;
  /** For tests. */
  readonly timing?: Timing;
  readonly openSocket?: typeof openSocket;
}

export type CacheClient = AllCollections & {
  /** Whether what is shown is what the service has. */
  readonly state: Observable<ConnectionState>;
  /** Calls `listener` with every event, messages that others broadcast among them. Returns how to stop that. */
  onEvent(listener: (event: string, data: unknown) => void): () => void;
  /** Ends everything. Nothing is shown anew after that. */
  close(): void;
};

/** Connects when somebody subscribes for the first time. Throws `TypeError` for options that cannot be. */
export function createCacheClient(options: ClientOptions): CacheClient {
  const { protocol, origin } = new URL(options.url);
  if (!/^https?:$/.test(protocol)) throw new TypeError(`the url of a service is one of http or https: ${options.url}`);
  const open = options.openSocket ?? openSocket;
  const core = new ClientCore({
    url: options.url.replace(/\/+$/, ''),
    fetch: options.fetch ?? ((...request) => fetch(...request)),
    openSocket: (auth) => open(origin, auth, options.socket ?? {}),
    rooms: options.rooms,
    mostEntries: options.mostEntries ?? 200,
    mostBytes: options.mostBytes ?? 16 * 1024 * 1024,
    spreadMs: options.spreadMs ?? 2_000,
    timing: options.timing ?? systemTiming,
  });
  return {
    ...mapResources((name) => core.collections(name)),
    state: core.state,
    onEvent: (listener) => core.onEvent(listener),
    close: () => core.close(),
  };
}

/** The library reconnects by itself, with growing pauses of random length. */
function openSocket(
  origin: string,
  auth: () => Handshake,
  options: Partial<ManagerOptions & SocketOptions>,
): LiveSocket {
  return io(origin, { ...options, autoConnect: false, forceNew: true, auth: (answer) => answer(auth()) });
}
