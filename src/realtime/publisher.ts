import { type Clock, pause } from '../cache/clock.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { describeError } from '../errors.ts';
import { publish } from './channels.ts';
import type { EventLog, LiveEvent, ReservedVersion } from './event-log.ts';

/**
 * Brings events into the log, in the order in which they come.
 *
 *   logged -> failing   the log cannot be reached: it is tried again, and what comes waits
 *   failing -> logged   it has answered
 *   failing -> local    it was tried for long enough: what waits goes to the clients of this instance alone, and so does what
 *                       comes. Clients of others miss it, and nobody could recover it
 *   local -> logged     the log answers again: another epoch begins, so that all clients fetch anew
 */
export class EventPublisher {
  readonly #log: EventLog;
  readonly #clock: Clock;
  readonly #clients: OwnClients;
  #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #failingSince: number | undefined;
  #isLocal = false;
  #closed = false;

  constructor(log: EventLog, clock: Clock, clients: OwnClients) {
    this.#log = log;
    this.#clock = clock;
    this.#clients = clients;
  }

  /** See `EventLog.reserve`; `undefined` when the log cannot be reached. */
  async reserve(): Promise<ReservedVersion | undefined> {
    try {
      return await this.#log.reserve();
    } catch (error) {
      if (error instanceof StoreUnavailable) return undefined;
      throw error;
    }
  }

  /** Resolves once the event is in the log, or was tried once to no avail. */
  publish(event: LiveEvent): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push({ event, tried: resolve });
      this.#running ??= this.#run();
    });
  }

  /** Sends what is left. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 || (this.#isLocal && !this.#closed)) {
      await this.#clients.follow();
      const batch = this.#queue.slice(0, mostPerAppend);
      const problem = await this.#append(batch.map(({ event }) => event));
      for (const { tried } of batch) tried();
      if (problem === undefined) {
        this.#queue.splice(0, batch.length);
        this.#failingSince = undefined;
      } else {
        await this.#despair(problem);
      }
    }
    this.#running = undefined;
  }

  /** `undefined`, or why that was not possible. */
  async #append(events: readonly LiveEvent[]): Promise<string | undefined> {
    try {
      if (this.#isLocal) await this.#log.renew();
      if (this.#isLocal) publish({ type: 'event-log', up: true, reason: 'another epoch has begun' });
      this.#isLocal = false;
      await this.#log.append(events);
      return undefined;
    } catch (error) {
      return describeError(error);
    }
  }

  async #despair(reason: string): Promise<void> {
    const now = this.#clock.now();
    this.#failingSince ??= now;
    const isLong = now - this.#failingSince >= patienceMs || this.#queue.length > mostWaiting || this.#closed;
    if (this.#isLocal || isLong) {
      if (!this.#isLocal) publish({ type: 'event-log', up: false, reason });
      this.#isLocal = true;
      for (const { event, tried } of this.#queue.splice(0)) {
        tried();
        this.#clients.emitHere(event);
      }
    }
    if (!this.#closed) await pause(this.#clock, retryMs);
  }
}

/** The clients of this instance. */
export interface OwnClients {
  /** Resolves once they are told of what is appended from now on, or if that cannot be. */
  follow(): Promise<void>;
  /** Sends an event to them alone. */
  emitHere(event: LiveEvent): void;
}

interface Waiting {
  readonly event: LiveEvent;
  readonly tried: () => void;
}

const mostPerAppend = 100;
const mostWaiting = 1_000;
const patienceMs = 2_000;
const retryMs = 100;
