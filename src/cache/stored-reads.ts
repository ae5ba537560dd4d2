import type { Clock } from './clock.ts';
import { Departures } from './departures.ts';
import type { FastReader } from './held-reads.ts';
import type { Key } from './key.ts';
import type { HeldEntry } from './memory-tier.ts';
import type { Source } from './read-through.ts';
import type { CacheStore, Found } from './store.ts';

/**
 * Reads of what this process does not hold and the store may have, many keys in one command and without a promise for each.
 * The rule is that of `held-reads.ts`: per key at most one query is in the air and one at the gate, and nobody boards what
 * is in the air.
 */
export class StoredReads {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #departures: Departures<Query>;
  readonly #found: Tell;
  /** By key; as many as there are requests at most. */
  readonly #queries = new Map<Key, Query>();

  /** `found` is told what the store said, and returns what may be served. */
  constructor(store: CacheStore, clock: Clock, found: Tell) {
    this.#store = store;
    this.#clock = clock;
    this.#found = found;
    this.#departures = new Departures(clock, mostTogether, (queries) => this.#send(queries));
  }

  /** `reader` is told soon. */
  ask(key: Key, source: Source, reader: FastReader): void {
    const query = this.#queries.get(key);
    if (query === undefined) {
      const opened = { key, source, readers: [reader], next: [], isInAir: false };
      this.#queries.set(key, opened);
      this.#departures.board(opened);
    } else if (query.isInAir) {
      query.next.push(reader);
    } else {
      query.readers.push(reader);
    }
  }

  #send(queries: readonly Query[]): Promise<void> {
    const askedAt = this.#clock.now();
    for (const query of queries) query.isInAir = true;
    const keys = queries.map(({ key }) => key);
    return this.#store.readAll(keys, (at, found) => {
      const query = queries[at];
      if (query !== undefined) this.#land(query, found, askedAt);
    });
  }

  #land(query: Query, found: Found, askedAt: number): void {
    const { readers } = query;
    if (query.next.length === 0) {
      this.#queries.delete(query.key);
    } else {
      query.readers = query.next;
      query.next = [];
      query.isInAir = false;
      this.#departures.board(query);
    }
    const held = this.#found(query, found, askedAt, readers.length);
    const ttlMs = held === undefined ? 0 : held.expiresAt - this.#clock.now();
    for (const reader of readers) {
      if (held === undefined || ttlMs <= 0) reader.miss();
      else reader.hit(held, ttlMs);
    }
  }
}

/** `requests`: how many ask. */
type Tell = (query: QueryOf, found: Found, askedAt: number, requests: number) => HeldEntry | undefined;

interface QueryOf {
  readonly key: Key;
  readonly source: Source;
}

interface Query extends QueryOf {
  /** At the gate or, while it is in the air, on board. */
  readers: FastReader[];
  next: FastReader[];
  isInAir: boolean;
}

/** The values may be of some size: what stands behind them on the connection must not wait for long. */
const mostTogether = 50;
