import type { Clock } from '../cache/clock.ts';
import type { EventLog, LoggedEvent, Position } from './event-log.ts';

/**
 * Follows the event log, and remembers the latest events: most clients that come back have missed only a few, and all of
 * those of an instance that has died come at once.
 */
export class EventTail {
  readonly #log: EventLog;
  readonly #clock: Pick<Clock, 'soon'>;
  readonly #listener: TailListener;
  #position: Position | undefined;
  #recent: LoggedEvent[] = [];
  #recentBytes = 0;
  /** All events behind this offset are among the recent ones. */
  #recentFrom = 0;
  #stop: (() => void) | undefined;
  #reading = false;
  #again = false;
  /** Somebody has asked where the tail stands, and was told nothing. */
  #isLate = false;
  #reached: (() => void)[] = [];

  constructor(log: EventLog, clock: Pick<Clock, 'soon'>, listener: TailListener) {
    this.#log = log;
    this.#clock = clock;
    this.#listener = listener;
  }

  start(): void {
    this.#stop = this.#log.follow(() => this.look());
    this.look();
  }

  stop(): void {
    this.#stop?.();
  }

  /** How far the clients of this instance have heard; `undefined` until the log was reached once. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** What follows `position`, up to where the tail is; `undefined` when that is not remembered. */
  since({ epoch, offset }: Position): readonly LoggedEvent[] | undefined {
    const position = this.#position;
    if (position?.epoch !== epoch || offset < this.#recentFrom || offset > position.offset) return undefined;
    const from = this.#recent.findIndex((event) => event.offset > offset);
    return from < 0 ? [] : this.#recent.slice(from);
  }

  /** Resolves once the tail knows where it stands, or has looked for that in vain: what comes next is then heard here. */
  async begun(): Promise<void> {
    if (this.#position !== undefined) return;
    await this.looked();
    this.#isLate ||= this.#position === undefined;
  }

  /** Resolves after the next look at the log, whatever it brings. */
  looked(): Promise<void> {
    return new Promise((resolve) => {
      this.#reached.push(resolve);
      this.look();
    });
  }

  /** Reads what is new. One reading at a time, and one more when it was asked for meanwhile. */
  look(): void {
    this.#again = true;
    if (this.#reading) return;
    this.#reading = true;
    void this.#read();
  }

  async #read(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const waiting = this.#reached.splice(0);
      try {
        await this.#readToTheEnd();
      } catch {
        // It is looked at again when there is a notice, and now and then. Who appends tells what is wrong.
      }
      for (const resolve of waiting) resolve();
    }
    this.#reading = false;
  }

  async #readToTheEnd(): Promise<void> {
    this.#position ??= await this.#beginAtTheEnd();
    for (;;) {
      let events = await this.#log.readAfter(this.#position, mostPerRead);
      if (events === null) {
        events = await this.#beginAnew(this.#position.epoch);
        this.#listener.lost(this.#position);
      }
      const last = events.at(-1);
      if (last === undefined) return;
      this.#remember(events);
      this.#position = { epoch: last.epoch, offset: last.offset };
      this.#listener.deliver(events);
      // That was the end, and what has come since is told of by a notice.
      if (events.length < mostPerRead) return;
      // Sockets are written to between the batches.
      await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
  }

  /** What was appended since somebody came who was to hear what comes, is not told to them any more. */
  async #beginAtTheEnd(): Promise<Position> {
    const position = this.#begin(await this.#log.tail());
    if (this.#isLate) this.#listener.lost(position);
    return position;
  }

  #begin(position: Position): Position {
    this.#position = position;
    this.#recent = [];
    this.#recentBytes = 0;
    this.#recentFrom = position.offset;
    return position;
  }

  /** Nobody here has heard anything of another epoch: it is told from its beginning, if the log still has that. */
  async #beginAnew(before: string): Promise<readonly LoggedEvent[]> {
    const tail = await this.#log.tail();
    const start = { epoch: tail.epoch, offset: 0 };
    const events = tail.epoch === before ? null : await this.#log.readAfter(start, mostPerRead);
    this.#begin(events === null ? tail : start);
    return events ?? [];
  }

  #remember(events: readonly LoggedEvent[]): void {
    for (const event of events) {
      this.#recent.push(event);
      this.#recentBytes += event.data.length;
    }
    let gone = 0;
    for (const { data, offset } of this.#recent) {
      if (this.#recent.length - gone <= mostRecent && this.#recentBytes <= mostRecentBytes) break;
      gone += 1;
      this.#recentBytes -= data.length;
      this.#recentFrom = offset;
    }
    this.#recent.splice(0, gone);
  }
}

export interface TailListener {
  /** New events, in order. */
  deliver(events: readonly LoggedEvent[]): void;
  /** Some were not delivered, nor will they be: the log has forgotten them, or could not be reached. It goes on from `position`. */
  lost(position: Position): void;
}

const mostPerRead = 200;
const mostRecent = 1_000;
const mostRecentBytes = 4 * 1024 * 1024;
