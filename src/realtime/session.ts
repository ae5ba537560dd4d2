import type { Socket } from 'socket.io';
import type { Clock } from '../cache/clock.ts';
import { publish } from './channels.ts';
import type { EventLog, LoggedEvent, Position } from './event-log.ts';
import { sessionEvent } from './events.ts';
import { clientLimits, Rate } from './limits.ts';
import type { Outgoing } from './outgoing.ts';
import type { Subscriptions } from './rooms.ts';
import type { EventTail } from './tail.ts';

/**
 * One client, from its handshake on.
 *
 *   new -> joined           it knows of no events, or the log does not hold all that it has missed
 *   new -> catching up      it names its last position: what follows is sent to it alone
 *   catching up -> joined   it has heard just as much as the others here; in the same turn of the event loop
 *
 * Only who is joined is sent what comes, so nothing is heard twice or in another order.
 */
export class Session {
  readonly #socket: Socket;
  readonly #surroundings: SessionSurroundings;
  readonly #subscriptions: Subscriptions;
  readonly #outgoing: Outgoing;

  constructor(socket: Socket, subscriptions: Subscriptions, outgoing: Outgoing, surroundings: SessionSurroundings) {
    this.#socket = socket;
    this.#subscriptions = subscriptions;
    this.#outgoing = outgoing;
    this.#surroundings = surroundings;
    this.#listen();
  }

  /** Resolves once the client is joined, or gone. */
  async begin(): Promise<void> {
    const { position, rooms, isAware } = readHandshake(this.#socket.handshake.auth);
    for (const room of rooms) this.#subscriptions.add(room);
    const recovered = position !== undefined && (await this.#catchUp(position));
    if (!this.#socket.connected) return;
    this.#subscriptions.join();
    publish({ type: 'join', recovered: position === undefined ? undefined : recovered });
    if (!isAware) return;
    void this.#socket.join(aware);
    this.#socket.emit(sessionEvent, { ...whereabouts(this.#surroundings.tail.position), recovered });
  }

  #listen(): void {
    const { messagesPerSecond, messagesAtOnce } = clientLimits;
    const rate = new Rate(this.#surroundings.clock, messagesPerSecond, messagesAtOnce);
    this.#socket.use((_event, next) => {
      if (rate.take()) {
        next();
      } else {
        publish({ type: 'cut', reason: 'talkative' });
        this.#socket.disconnect(true);
      }
    });
    this.#socket.on('subscribe', (room: unknown, answer: unknown) => reply(answer, this.#subscriptions.add(room)));
    this.#socket.on('unsubscribe', (room: unknown, answer: unknown) => reply(answer, this.#subscriptions.remove(room)));
  }

  /**
   * Sends what follows `position`. Resolves with `true` in the turn in which the client has heard what all others here
   * have, with `false` when the log does not hold all of it: then nothing is to be believed of what was sent.
   */
  async #catchUp(position: Position): Promise<boolean> {
    const { clock, tail } = this.#surroundings;
    const giveUpAt = clock.now() + patienceMs;
    let at = position;
    for (;;) {
      // What was told elsewhere, and has not come here yet, it has missed too.
      await tail.looked();
      const events = tail.since(at);
      if (events !== undefined) {
        this.#send(events);
        return true;
      }
      const more = await this.#readAfter(at);
      const mayGoOn = this.#socket.connected && clock.now() < giveUpAt && (await this.#outgoing.hasRoom(clock));
      if (more === null || !mayGoOn) return false;
      this.#send(more);
      at = more.at(-1) ?? at;
    }
  }

  async #readAfter(position: Position): Promise<readonly LoggedEvent[] | null> {
    try {
      return await this.#surroundings.log.readAfter(position, mostPerRead);
    } catch {
      return null;
    }
  }

  #send(events: readonly LoggedEvent[]): void {
    for (const event of events) {
      if (this.#subscriptions.wants(event.rooms)) {
        this.#socket.emit(event.event, JSON.parse(event.data), placeOf(event));
      }
    }
  }
}

export interface SessionSurroundings {
  readonly log: EventLog;
  readonly tail: EventTail;
  readonly clock: Clock;
}

/** The room of the clients that have said that they understand positions. */
export const aware = 'energex:aware';

/** What every event carries beside its data. */
export function placeOf({ epoch, offset, version }: LoggedEvent): Position & { readonly version: number } {
  return { epoch, offset, version };
}

/** As it is told to clients: `null` while the log was never reached. */
export function whereabouts(position: Position | undefined): { epoch: string | null; offset: number | null } {
  return { epoch: position?.epoch ?? null, offset: position?.offset ?? null };
}

function reply(answer: unknown, problem: string | undefined): void {
  if (typeof answer === 'function') answer(problem === undefined ? { ok: true } : { ok: false, message: problem });
}

/** A client that says anything of epochs understands the answer. Whatever else it sends, nothing is taken for granted. */
function readHandshake(auth: unknown): {
  readonly position: Position | undefined;
  readonly rooms: readonly unknown[];
  readonly isAware: boolean;
} {
  const { epoch, offset, rooms } = Object(auth);
  const isPosition = typeof epoch === 'string' && Number.isSafeInteger(offset) && offset >= 0;
  return {
    position: isPosition ? { epoch, offset } : undefined,
    rooms: Array.isArray(rooms) ? rooms.slice(0, 1_000) : [],
    isAware: epoch !== undefined,
  };
}

const mostPerRead = 200;
const patienceMs = 30_000;
