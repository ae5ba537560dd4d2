import type { Output } from './output.ts';

export interface PrintedEvent {
  readonly offset: number;
  readonly event: string;
  readonly version: number;
  readonly rooms: readonly string[];
  /** When it was appended, by the clock of Redis; an instance does not tell that. */
  readonly at?: string;
  /** JSON. */
  readonly data: string;
}

/** Which are wanted. */
export interface PrintedEvents {
  /** Its name; `undefined` for all. */
  readonly event: string | undefined;
  /** So many at most. */
  readonly count: number;
}

/** Prints events of the log, as far as they are wanted. */
export class EventPrinter {
  readonly #wanted: PrintedEvents;
  readonly #output: Output;
  #printed = 0;

  constructor(wanted: PrintedEvents, output: Output) {
    this.#wanted = wanted;
    this.#output = output;
  }

  get isDone(): boolean {
    return this.#printed >= this.#wanted.count;
  }

  /** Another epoch than the one before. */
  begin(epoch: string): void {
    this.#output.show({ type: 'epoch', epoch }, ['--- a new epoch: live clients read anew']);
  }

  print(epoch: string, events: readonly PrintedEvent[]): void {
    const { event } = this.#wanted;
    for (const each of events) {
      if (this.isDone) return;
      if (event !== undefined && each.event !== event) continue;
      this.#printed += 1;
      const { data, ...rest } = each;
      const parsed: unknown = JSON.parse(data);
      this.#output.show({ type: 'event', epoch, ...rest, data: parsed }, [this.#lineOf(each)]);
    }
  }

  #lineOf({ at, event, offset, version, rooms, data }: PrintedEvent): string {
    const time = at === undefined ? '' : `${at}  `;
    const line = `${time}${event}  offset ${offset}, version ${version}  ${rooms.join(' ')}  ${data}`;
    const { isTerminal, size } = this.#output;
    return isTerminal && line.length > size.columns ? `${line.slice(0, size.columns - 1)}…` : line;
  }
}
