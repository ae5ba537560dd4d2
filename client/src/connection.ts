import type { Timing } from './timing.ts';

/** What is used of a socket of `socket.io-client`. */
export interface LiveSocket {
  connect(): unknown;
  disconnect(): unknown;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  onAny(listener: (event: string, ...args: unknown[]) => void): unknown;
  /** It will connect, or connect again, by itself. */
  readonly active: boolean;
}

/** Whether what is shown is what the service has. */
export type ConnectionState =
  /** Every change is heard. */
  | { readonly name: 'live' }
  /** Connected, but something was missed, or may have been: it is being read. */
  | { readonly name: 'catching up' }
  /** Nothing is heard; what is shown is as old as the connection's end. It comes back by itself, unless it was closed. */
  | { readonly name: 'offline'; readonly reason: OfflineReason };

export type OfflineReason = 'starting' | 'unreachable' | 'connection lost' | 'sent away' | 'service stops' | 'closed';

export interface Place {
  readonly epoch: string;
  readonly offset: number;
  readonly version: number;
}

export interface ConnectionListener {
  /** `place` is `undefined` for what an instance told its own clients alone. */
  heard(event: string, data: unknown, place: Place | undefined): void;
  /** Something was missed, and will not come: what is shown must be read anew. `isFirst`: of a new client. */
  missed(isFirst: boolean): void;
  changed(): void;
}

/**
 * The connection for live events (docs/events.md of the service).
 *
 *   offline -> joining   connected: what was missed since the last position may come
 *   joining -> live      the session was told; if it was not recovered, `missed` is called first
 *   live -> live         another epoch has begun: `missed`
 *   any -> offline       it ended; the library connects again, with growing pauses, and `auth` tells the latest position
 *   any -> offline       the instance is about to stop: the client leaves, and comes back when it is told to
 */
export class Connection {
  readonly #socket: LiveSocket;
  readonly #listener: ConnectionListener;
  readonly #timing: Timing;
  #status: 'joining' | 'live' | OfflineReason = 'starting';
  #position: { readonly epoch: string; readonly offset: number } | undefined;
  #hasMet = false;
  #stopWaiting: (() => void) | undefined;
  #refusals = 0;
  /** Answers of after this may be newer than the next event; see `replica.ts`. */
  #unsettledFrom = -Infinity;
  #liveSince = Infinity;

  constructor(open: (auth: () => Position) => LiveSocket, listener: ConnectionListener, timing: Timing) {
    this.#listener = listener;
    this.#timing = timing;
    const socket = open(() => ({ epoch: null, ...this.#position }));
    this.#socket = socket;
    socket.on('connect', () => this.#become('joining'));
    socket.on('disconnect', () => this.#left('connection lost', 'sent away'));
    socket.on('connect_error', () => this.#left('unreachable', 'unreachable'));
    socket.onAny((event, data, place) => this.#hear(event, data, place));
  }

  start(): void {
    this.#socket.connect();
  }

  get status(): 'joining' | 'live' | OfflineReason {
    return this.#status;
  }

  /** Answers that were given before this are not newer than an event that is heard now; `-Infinity`: all may be. */
  get settledBefore(): number {
    const settled = this.#timing.now() - settleMs;
    return this.#isSettled ? settled : Math.min(settled, this.#unsettledFrom);
  }

  close(): void {
    this.#stopWaiting?.();
    this.#status = 'closed';
    this.#socket.disconnect();
    this.#listener.changed();
  }

  get #isSettled(): boolean {
    return this.#status === 'live' && this.#timing.now() >= this.#liveSince + settleMs;
  }

  #hear(event: string, data: unknown, place: unknown): void {
    if (this.#status === 'closed') return;
    if (event === 'energex:session') this.#meet(data);
    else if (event === 'energex:drain') this.#leave(data);
    else this.#take(event, data, placeOf(place));
  }

  #take(event: string, data: unknown, place: Place | undefined): void {
    if (place !== undefined) {
      const isOther = this.#position !== undefined && this.#position.epoch !== place.epoch;
      this.#position = { epoch: place.epoch, offset: place.offset };
      if (isOther) this.#miss();
    }
    this.#listener.heard(event, data, place);
  }

  #meet(data: unknown): void {
    const { epoch, offset, recovered } = Object(data);
    const isKnown = typeof epoch === 'string' && typeof offset === 'number';
    this.#position = isKnown ? { epoch, offset } : undefined;
    this.#refusals = 0;
    if (recovered !== true) this.#miss();
    this.#hasMet = true;
    this.#liveSince = this.#timing.now();
    this.#become('live');
  }

  #miss(): void {
    this.#unsettledFrom = -Infinity;
    this.#liveSince = this.#timing.now();
    this.#listener.missed(!this.#hasMet);
  }

  /** The instance stops: better leave now than be thrown out. */
  #leave(data: unknown): void {
    const { delayMs } = Object(data);
    const stayAwayMs = typeof delayMs === 'number' && delayMs >= 0 ? Math.min(delayMs, longestStayMs) : 0;
    this.#become('service stops');
    this.#socket.disconnect();
    this.#comeBack(stayAwayMs);
  }

  /** The library comes back by itself, unless the service has ended the connection on purpose. */
  #left(reason: OfflineReason, ifForGood: OfflineReason): void {
    if (this.#status === 'closed' || this.#status === 'service stops') return;
    this.#become(this.#socket.active ? reason : ifForGood);
    if (this.#socket.active) return;
    this.#refusals += 1;
    this.#comeBack(Math.min(longestStayMs, 1_000 * 2 ** this.#refusals) * (0.5 + this.#timing.random()));
  }

  #comeBack(afterMs: number): void {
    this.#stopWaiting?.();
    this.#stopWaiting = this.#timing.after(afterMs, () => {
      // From now on an attempt that fails is an attempt like any other.
      this.#become('unreachable');
      this.#socket.connect();
    });
  }

  #become(status: 'joining' | 'live' | OfflineReason): void {
    // What came to pass shortly before the end may be heard after it.
    if (this.#isSettled && status !== 'live') this.#unsettledFrom = this.#timing.now() - settleMs;
    this.#status = status;
    this.#listener.changed();
  }
}

/** As it is told in the handshake. */
export interface Position {
  readonly epoch: string | null;
  readonly offset?: number;
}

function placeOf(place: unknown): Place | undefined {
  const { epoch, offset, version } = Object(place);
  const isPlace = typeof epoch === 'string' && typeof offset === 'number' && typeof version === 'number';
  return isPlace ? { epoch, offset, version } : undefined;
}

/** The service tries for two seconds to tell of a change in order, else an epoch ends; and one for the way. */
const settleMs = 3_000;
const longestStayMs = 60_000;
