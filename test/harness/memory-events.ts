import { StoreUnavailable } from '../../src/cache/store.ts';
import type { EventLog, FeedSource, LiveEvent } from '../../src/realtime/event-log.ts';

/** As much of the event log as a feed needs, in memory: for the feed's own tests. */
export class MemoryEvents implements Pick<EventLog, 'append' | 'renew'> {
  readonly heard: LiveEvent[] = [];
  /** How often it could not be said what happened. */
  renewals = 0;
  /** How many events came again. */
  repeated = 0;
  isAway = false;
  readonly #last = new Map<string, string>();

  async append(events: readonly LiveEvent[], { source }: FeedSource): Promise<void> {
    if (this.isAway) throw new StoreUnavailable('the event log is away');
    for (const event of events) {
      const mark = event.mark ?? '';
      if (mark <= (this.#last.get(source) ?? '')) {
        this.repeated += 1;
        continue;
      }
      this.#last.set(source, mark);
      this.heard.push(event);
    }
  }

  async renew(): Promise<void> {
    if (this.isAway) throw new StoreUnavailable('the event log is away');
    this.renewals += 1;
  }

  /** Event and id of each, in order. */
  get told(): string[] {
    return this.heard.map(({ event, data }) => `${event} ${/"id":"?(\d+)/.exec(data)?.[1]}`);
  }
}
