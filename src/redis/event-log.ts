import type { Clock } from '../cache/clock.ts';
import type { EventLog, FeedSource, LiveEvent, LoggedEvent, Position, ReservedVersion } from '../realtime/event-log.ts';
import type { Bounds, EventCall } from './event-scripts.ts';
import * as scripts from './event-scripts.ts';
import type { Subscribe } from './link.ts';
import type { Place } from './place.ts';
import type { TrustedCall } from './server.ts';
import type { Servers } from './servers.ts';

/**
 * The event log on Redis: a stream with a hash beside it, in one slot. An epoch lasts as long as what versions of values
 * depend on (the run of the server, the claim, the database): whatever makes entries untrusted ends it too.
 */
export class RedisEventLog implements EventLog {
  readonly #servers: Servers;
  readonly #options: RedisEventLogOptions;

  constructor(servers: Servers, options: RedisEventLogOptions) {
    this.#servers = servers;
    this.#options = options;
  }

  reserve(): Promise<ReservedVersion> {
    return this.#step('withCommands', scripts.reserveVersion);
  }

  async append(events: readonly LiveEvent[], from?: FeedSource): Promise<void> {
    if (events.length === 0) return;
    await this.#step('withValues', (call) =>
      scripts.appendEvents(call, events, from?.source ?? '', this.#options.bounds),
    );
  }

  async tail(): Promise<Position> {
    const { tail } = await this.#step('withCommands', (call) => scripts.readEvents(call, undefined, 0));
    return tail;
  }

  async readAfter(position: Position, limit: number): Promise<readonly LoggedEvent[] | null> {
    const { events } = await this.#step('withValues', (call) => scripts.readEvents(call, position, limit));
    return events;
  }

  renew(): Promise<void> {
    return this.#step('withCommands', scripts.renewEpoch);
  }

  /** Told by a notice, and by a look now and then: notices get lost. */
  follow(grown: () => void): () => void {
    const { subscribe, clock } = this.#options;
    const unsubscribe = subscribe(this.#channel, grown);
    const stopLooking = clock.every(lookMs, grown);
    return () => {
      unsubscribe();
      stopLooking();
    };
  }

  #step<T>(lane: 'withCommands' | 'withValues', step: (call: EventCall) => Promise<T>): Promise<T> {
    const place = this.#servers.placeOf(streamKey);
    const keys = { stream: place.value, state: stateBeside(place) };
    const toCall = (call: TrustedCall): EventCall => ({
      call,
      ...keys,
      epoch: this.#options.unique(),
      channel: this.#channel,
    });
    return this.#servers.at(place, (server) => server[lane]((call) => step(toCall(call))));
  }

  get #channel(): string {
    return `${this.#servers.prefix}${streamKey}:grown`;
  }
}

export interface RedisEventLogOptions {
  readonly bounds: Bounds;
  readonly clock: Pick<Clock, 'every'>;
  readonly subscribe: Subscribe;
  /** A text that was never given out before. */
  readonly unique: () => string;
}

export const streamKey = 'energex:events';

/** In the same slot of a cluster. */
export function stateBeside({ value: stream }: Pick<Place, 'value'>): string {
  return `{${stream}}:state`;
}

const lookMs = 1_000;
