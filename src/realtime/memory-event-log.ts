import type { EventLog, FeedSource, LiveEvent, LoggedEvent, Position, ReservedVersion } from './event-log.ts';

/** The event log of the embedded default, where one process is all there is: a list that forgets its oldest entries. */
export class MemoryEventLog implements EventLog {
  readonly #options: MemoryEventLogOptions;
  readonly #followers = new Set<() => void>();
  #entries: Entry[] = [];
  #bytes = 0;
  #epoch: string;
  #counter = 0;
  #tail = 0;
  /** All entries behind this offset are there. */
  #first = 0;
  #fed: { readonly source: string; readonly mark: string } | undefined;

  constructor(options: MemoryEventLogOptions) {
    this.#options = options;
    this.#epoch = options.unique();
  }

  async reserve(): Promise<ReservedVersion> {
    this.#counter += 1;
    return { epoch: this.#epoch, version: this.#counter };
  }

  async append(events: readonly LiveEvent[], from?: FeedSource): Promise<void> {
    if (events.length === 0) return;
    for (const event of events) {
      if (from === undefined) this.#add(event);
      else this.#addFrom(from.source, event);
    }
    this.#trim();
    this.#tell();
  }

  #addFrom(source: string, event: LiveEvent): void {
    const { mark = '' } = event;
    if (this.#fed?.source === source && mark <= this.#fed.mark) return;
    this.#fed = { source, mark };
    this.#add(event);
  }

  #add({ event, data, version, rooms }: LiveEvent): void {
    this.#counter += 1;
    this.#tail = this.#counter;
    const bytes = Buffer.byteLength(data) + Buffer.byteLength(event) + overheadBytes;
    this.#bytes += bytes;
    this.#entries.push({
      at: this.#options.now(),
      bytes,
      logged: {
        epoch: this.#epoch,
        offset: this.#tail,
        version: version?.epoch === this.#epoch ? version.version : this.#tail,
        event,
        data,
        rooms,
      },
    });
  }

  #trim(): void {
    const { mostEntries, mostBytes, longestMs, now } = this.#options;
    const oldestAt = now() - longestMs;
    let gone = 0;
    for (const { at, bytes, logged } of this.#entries) {
      if (this.#entries.length - gone <= mostEntries && this.#bytes <= mostBytes && at >= oldestAt) break;
      gone += 1;
      this.#bytes -= bytes;
      this.#first = logged.offset;
    }
    this.#entries.splice(0, gone);
  }

  async tail(): Promise<Position> {
    return { epoch: this.#epoch, offset: this.#tail };
  }

  async readAfter({ epoch, offset }: Position, limit: number): Promise<readonly LoggedEvent[] | null> {
    if (epoch !== this.#epoch || offset < this.#first || offset > this.#tail) return null;
    const from = this.#entries.findIndex(({ logged }) => logged.offset > offset);
    return from < 0 ? [] : this.#entries.slice(from, from + limit).map(({ logged }) => logged);
  }

  async renew(): Promise<void> {
    this.#epoch = this.#options.unique();
    this.#entries = [];
    this.#bytes = 0;
    this.#counter = 0;
    this.#tail = 0;
    this.#first = 0;
    this.#fed = undefined;
    this.#tell();
  }

  follow(grown: () => void): () => void {
    this.#followers.add(grown);
    return () => this.#followers.delete(grown);
  }

  #tell(): void {
    for (const grown of this.#followers) grown();
  }
}

export interface MemoryEventLogOptions {
  readonly mostEntries: number;
  readonly mostBytes: number;
  readonly longestMs: number;
  /** Milliseconds. */
  readonly now: () => number;
  /** A text that was never given out before. */
  readonly unique: () => string;
}

interface Entry {
  readonly at: number;
  readonly bytes: number;
  readonly logged: LoggedEvent;
}

const overheadBytes = 100;
