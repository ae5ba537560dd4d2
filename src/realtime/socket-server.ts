import { randomBytes } from 'node:crypto';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { Server, type Socket } from 'socket.io';
import { type Clock, pause } from '../cache/clock.ts';
import { publish } from './channels.ts';
import type { EventLog, LiveEvent, LoggedEvent } from './event-log.ts';
import { drainEvent, sessionEvent } from './events.ts';
import { clientLimits, ConnectionsPerAddress } from './limits.ts';
import type { Neighbours } from './neighbours.ts';
import type { OwnClients } from './publisher.ts';
import { Outgoing } from './outgoing.ts';
import { audienceOf, Subscriptions } from './rooms.ts';
import { aware, placeOf, Session, whereabouts } from './session.ts';
import { EventTail } from './tail.ts';

/**
 * Live events to the browsers: Socket.IO 4 on the default namespace and path. What is in the event log goes to the clients
 * of this instance in the log's order; what a client has missed is read from the log when it comes (`session.ts`).
 */
export class SocketServer implements OwnClients {
  readonly #io: Server;
  readonly #clock: Clock;
  readonly #tail: EventTail;
  readonly #connections: ConnectionsPerAddress;
  readonly #outgoing = new Map<string, Outgoing>();
  readonly #stopCutting: () => void;
  readonly #admitsAnywayAt: number;

  constructor(http: HttpServer, log: EventLog, clock: Clock, options: SocketServerOptions) {
    const { origins } = options;
    this.#clock = clock;
    this.#admitsAnywayAt = clock.now() + startPatienceMs;
    this.#connections = new ConnectionsPerAddress(options.mostPerAddress, options.trustedProxies);
    this.#io = new Server(http, {
      cors: { origin: [...origins], credentials: true },
      serveClient: false,
      maxHttpBufferSize: clientLimits.messageBytes,
      // CORS does not cover WebSockets, so the handshake itself is checked. A client without `Origin` is no browser page of
      // another site: browsers send it with every WebSocket and every cross-origin request.
      allowRequest: (request, decide) => {
        const { origin } = request.headers;
        if (origin !== undefined && !origins.includes(origin) && !options.isOwnPage(request)) {
          decide('this origin may not connect; add it to FRONTEND_URL', false);
        } else if (this.#connections.isFull(request)) {
          decide('too many connections from this address; see SOCKETS_PER_ADDRESS and TRUSTED_PROXIES', false);
        } else {
          decide(null, true);
        }
      },
    });
    this.#tail = new EventTail(log, clock, {
      deliver: (events) => this.#deliver(events),
      lost: () => this.#io.to(aware).emit(sessionEvent, { ...whereabouts(this.#tail.position), recovered: false }),
    });
    this.#io.engine.on('connection', (connection: Socket['conn']) => this.#connections.count(connection));
    this.#io.use((_socket, next) => void this.#admit(next));
    if (options.neighbours !== undefined) this.#shareWith(options.neighbours);
    this.#io.on('connection', (socket) => this.#welcome(socket, log, options.isRoom));
    this.#stopCutting = clock.every(cutEveryMs, () => this.#cutSlowClients());
    this.#tail.start();
  }

  follow(): Promise<void> {
    return this.#tail.begun();
  }

  /** How many clients are connected. */
  get connections(): number {
    return this.#io.engine.clientsCount;
  }

  /** Sends an event that is not in the log. */
  emitHere({ event, data, rooms }: LiveEvent): void {
    const nowhere = { epoch: null, offset: null, version: null };
    this.#io.to(audienceOf(rooms)).emit(event, JSON.parse(data), nowhere);
  }

  /**
   * Who is connected hears what comes: so this instance must be following by then. After its start that takes a moment, in
   * which those already come who have lost another instance, or this one before it was restarted.
   */
  async #admit(next: () => void): Promise<void> {
    await this.#tail.begun();
    while (this.#tail.position === undefined && this.#clock.now() < this.#admitsAnywayAt) {
      await pause(this.#clock, lookAgainMs);
      await this.#tail.begun();
    }
    next();
  }

  #shareWith(neighbours: Neighbours): void {
    this.#io.engine.generateId = () => neighbours.nameSession(randomBytes(15).toString('base64url'));
    this.#io.engine.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
      if (!neighbours.handOver(request, response)) next();
    });
  }

  #welcome(socket: Socket, log: EventLog, isRoom: (name: string) => boolean): void {
    const outgoing = new Outgoing(socket.conn);
    this.#outgoing.set(socket.id, outgoing);
    socket.on('disconnect', () => this.#outgoing.delete(socket.id));
    const surroundings = { log, tail: this.#tail, clock: this.#clock };
    const session = new Session(socket, new Subscriptions(socket, isRoom), outgoing, surroundings);
    void session.begin();
  }

  #deliver(events: readonly LoggedEvent[]): void {
    for (const event of events) {
      this.#io.to(audienceOf(event.rooms)).emit(event.event, JSON.parse(event.data), placeOf(event));
    }
    publish({ type: 'deliver', events: events.length });
    this.#cutSlowClients();
  }

  #cutSlowClients(): void {
    for (const [id, outgoing] of this.#outgoing) {
      if (!outgoing.isTooMuch) continue;
      this.#outgoing.delete(id);
      publish({ type: 'cut', reason: 'slow' });
      outgoing.cut();
    }
  }

  /**
   * Ends all connections, in a way that makes the clients connect again, elsewhere; not all at once, so that those who take
   * them are not overrun. The HTTP server stays open.
   */
  async close(): Promise<void> {
    const sockets = [...this.#io.of('/').sockets.values()];
    const spreadMs = Math.min(longestSpreadMs, sockets.length * msPerSocket);
    this.#io.engine.opts.allowRequest = (_request, decide) => decide('shutting down', false);
    const ends = sockets.map(async (socket) => {
      const stayAwayMs = Math.floor(this.#clock.random() * (spreadMs + leastStayMs));
      if (socket.rooms.has(aware)) socket.emit(drainEvent, { delayMs: stayAwayMs });
      if (spreadMs > shortMs) await this.#clock.sleep(this.#clock.random() * spreadMs);
      // A client that is told to disconnect (`disconnectSockets`) does not come back by itself. And one that is between two
      // polls could only be told by waiting for its next, for up to 30 seconds.
      socket.conn.close(true);
    });
    await Promise.all(ends);
    this.#tail.stop();
    this.#stopCutting();
    this.#io.engine.close();
    await this.#io.of('/').adapter.close();
  }
}

export interface SocketServerOptions {
  /** Those that may connect. */
  readonly origins: readonly string[];
  /** Whether it comes from a page of the service itself that may be used. */
  readonly isOwnPage: (request: IncomingMessage) => boolean;
  readonly mostPerAddress: number;
  /** Addresses and networks whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  readonly isRoom: (name: string) => boolean;
  /** The other processes on the same port. */
  readonly neighbours: Neighbours | undefined;
}

/** Redis is in use by then, unless it is away; then events of this instance are heard all the same. */
const startPatienceMs = 5_000;
const lookAgainMs = 20;
const cutEveryMs = 1_000;
const longestSpreadMs = 1_500;
const msPerSocket = 1;
const shortMs = 50;
const leastStayMs = 500;
