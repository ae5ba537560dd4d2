/**
 * The port to the event log: every change and every message in one order, which is the same for all instances and so for
 * all browsers. `memory-event-log.ts` and `redis/event-log.ts` implement it; `test/contracts/event-log.ts` says what both
 * must hold.
 *
 * The log is bounded in length and in age. It lives in the cache store, and dies with it: what comes after that is another
 * **epoch**, in which positions of an earlier one mean nothing. Within an epoch offsets only grow, and may leave gaps.
 *
 * Any call may reject with `StoreUnavailable` (of `cache/store.ts`): what was to be appended may or may not be in the log.
 */
export interface EventLog {
  /**
   * A version for a change that is about to be committed. Asked for while the row is locked, so that of two changes of a
   * row the later one has the larger version, whichever is appended first.
   */
  reserve(): Promise<ReservedVersion>;

  /**
   * Appends events, in this order and with nothing between them. Where they come `from` a change feed, those that the log
   * has already are left out: a feed that starts anew repeats itself.
   */
  append(events: readonly LiveEvent[], from?: FeedSource): Promise<void>;

  /** Where the log ends now. */
  tail(): Promise<Position>;

  /** Up to `limit` events behind `position`, oldest first; `null` when the log does not hold all of them any more. */
  readAfter(position: Position, limit: number): Promise<readonly LoggedEvent[] | null>;

  /** Begins another epoch: something happened that is not in the log, so nobody may believe to have heard all. */
  renew(): Promise<void>;

  /** Calls `grown` when there may be something new; sometimes when there is not. Returns how to stop. */
  follow(grown: () => void): () => void;
}

/** What the browsers hear. */
export interface LiveEvent {
  readonly event: string;
  /** JSON. */
  readonly data: string;
  /** Of the change. An event without one gets its offset: whoever appends in the order of the changes needs no other. */
  readonly version?: ReservedVersion | undefined;
  /** The rooms it concerns (`posts`, `post:42`), beside the one of those who hear everything. Empty for a message to all. */
  readonly rooms: readonly string[];
  /** Only from a change feed: its place there. Later places compare greater, as strings. */
  readonly mark?: string | undefined;
}

export interface LoggedEvent extends Position {
  readonly event: string;
  readonly data: string;
  readonly version: number;
  readonly rooms: readonly string[];
}

export interface Position {
  readonly epoch: string;
  /** 0 is the beginning of the epoch. */
  readonly offset: number;
}

export interface ReservedVersion {
  readonly epoch: string;
  readonly version: number;
}

/** The marks of one source can be compared with each other, and with those of no other source. */
export interface FeedSource {
  readonly source: string;
}
