import type { Clock } from './clock.ts';
import { Departures } from './departures.ts';
import type { Key } from './key.ts';
import type { HeldEntry } from './memory-tier.ts';
import type { Source } from './read-through.ts';
import type { CacheStore, VersionClaim } from './store.ts';

/**
 * Validated hits without a promise per request: the part of the read path that answers nearly everything, kept as short as
 * it can be. It knows one state, `validate`; whatever is not a hit goes the whole way (`read-through.ts`).
 *
 * The rule is that of `single-flight.ts`. Per entry at most one question is in the air and one at the gate:
 *
 *   idle -> gate     the first reader opens a question
 *   gate -> air      the store is asked; from now on nobody may board
 *   air  -> idle     answered, and no one came meanwhile
 *   air  -> gate     those who came while it was in the air share the next
 *
 * So the version is always asked for after each of those arrived whom it answers.
 */
export class HeldReads {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  readonly #departures: Departures<Question>;
  readonly #told: Told;

  constructor(store: CacheStore, clock: Clock, told: Told) {
    this.#store = store;
    this.#clock = clock;
    this.#told = told;
    this.#departures = new Departures(clock, mostTogether, (questions) => this.#send(questions));
  }

  /** `reader` is told soon. */
  ask(key: Key, held: HeldEntry, source: Source, reader: FastReader): void {
    const question = held.question instanceof Question ? held.question : new Question(key, held, source);
    if (question.isInAir) {
      question.next.push(reader);
    } else {
      question.readers.push(reader);
      if (question.readers.length === 1) this.#departures.board(question);
    }
  }

  #send(questions: readonly Question[]): Promise<void> {
    for (const question of questions) question.isInAir = true;
    return this.#store.confirm(questions, (at, isCurrent) => {
      const question = questions[at];
      if (question !== undefined) this.#land(question, isCurrent);
    });
  }

  #land(question: Question, isCurrent: boolean | undefined): void {
    const { key, held, source, readers } = question;
    question.isInAir = false;
    question.readers = question.next;
    question.next = readers;
    if (question.readers.length > 0) this.#departures.board(question);
    if (isCurrent === true && held.expiresAt > this.#clock.now()) {
      const ttlMs = this.#told.confirmed(key, held, source, readers.length);
      for (const reader of readers) reader.hit(held, ttlMs);
    } else {
      if (isCurrent === undefined) this.#told.unanswered(key);
      for (const reader of readers) reader.miss();
    }
    // Emptied, not dropped: the array is as old as the entry, and what is dropped old keeps what it holds until V8's next full
    // collection: requests, responses and their texts, which otherwise die young.
    readers.length = 0;
  }
}

/** Exactly one of the two is called, once; neither may throw. */
export interface FastReader {
  /** `held` is current at an instant after the reader asked; `ttlMs` is what it has left. */
  hit(held: HeldEntry, ttlMs: number): void;
  /** The reader goes the whole way. */
  miss(): void;
}

interface Told {
  /** The entry is still current, for so many requests. Returns for how many milliseconds it will be. */
  confirmed(key: Key, held: HeldEntry, source: Source, requests: number): number;
  /** The store could not be asked. */
  unanswered(key: Key): void;
}

/**
 * What is asked about an entry, time and again. It stands in the entry: a map of the questions that are out would grow and
 * shrink all the time, and leave old tables behind.
 */
class Question implements VersionClaim {
  readonly key: Key;
  readonly version: string;
  readonly held: HeldEntry;
  readonly source: Source;
  /** At the gate or, while it is in the air, on board. */
  readers: FastReader[] = [];
  next: FastReader[] = [];
  isInAir = false;

  constructor(key: Key, held: HeldEntry, source: Source) {
    this.key = key;
    this.version = held.version;
    this.held = held;
    this.source = source;
    held.question = this;
  }
}

/** What a small command carries within its deadline. */
const mostTogether = 500;
