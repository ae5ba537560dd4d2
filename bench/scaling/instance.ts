import type { Queue } from './queue.ts';
import type { Timeline } from './timeline.ts';

/** A key that readers of one instance ask about: at most one question is in the air, one at the gate, as in `held-reads.ts`. */
export interface Question {
  readonly key: number;
  /** When those who wait for this answer came, in microseconds. */
  readers: number[];
  next: number[];
}

/** What one instance knows and has under way. Its one processor is a queue of its own. */
export class Instance {
  /** One way to the servers, in microseconds. */
  readonly halfTrip: number;
  readonly #timeline: Timeline;
  readonly #longestWait: number;
  readonly #send: (instance: Instance, together: readonly Question[], landed: () => void) => void;
  readonly #questions = new Map<number, Question>();
  /** Versions in memory; of keys that were never written there is none. */
  readonly known = new Map<number, number>();
  /** Until when a value may be served unasked, where that is allowed. */
  readonly freshUntil = new Map<number, number>();
  #gate: Question[] = [];
  #inAir = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #isDeparting = false;
  #freeAt = 0;
  work = 0;
  isReadingEvents = false;
  hasMoreEvents = false;
  heard = 0;

  constructor(
    timeline: Timeline,
    place: { readonly halfTrip: number; readonly longestWait: number },
    send: (instance: Instance, together: readonly Question[], landed: () => void) => void,
  ) {
    this.#timeline = timeline;
    this.halfTrip = place.halfTrip;
    this.#longestWait = place.longestWait;
    this.#send = send;
  }

  /** Uses its processor for so many microseconds; returns when that is done. */
  spend(micros: number): number {
    this.#freeAt = Math.max(this.#freeAt, this.#timeline.now) + micros;
    this.work += micros;
    return this.#freeAt;
  }

  ask(key: number, arrivedAt: number): void {
    const open = this.#questions.get(key);
    if (open !== undefined) {
      // At the gate it is still open to more readers; in the air it is not: those are for the next.
      (open.next === open.readers ? open.readers : open.next).push(arrivedAt);
      return;
    }
    const readers = [arrivedAt];
    const question = { key, readers, next: readers };
    this.#questions.set(key, question);
    this.#board(question);
  }

  /** Those who came while it was in the air share the next. Returns those whom this answer is for. */
  land(question: Question): readonly number[] {
    const { readers, next } = question;
    if (next.length === 0) {
      this.#questions.delete(question.key);
    } else {
      question.readers = next;
      question.next = next;
      this.#board(question);
    }
    return readers;
  }

  #board(question: Question): void {
    this.#gate.push(question);
    if (this.#inAir === 0 || this.#timeline.now - this.#sentAt > this.#longestWait) this.#departSoon();
  }

  /** At the end of the turn: when the processor has done what it has begun. */
  #departSoon(): void {
    if (this.#isDeparting || this.#gate.length === 0) return;
    this.#isDeparting = true;
    this.#timeline.at(this.#freeAt, () => {
      this.#isDeparting = false;
      const together = this.#gate;
      this.#gate = [];
      this.#sentAt = this.#timeline.now;
      this.#inAir += 1;
      for (const question of together) question.next = [];
      this.#send(this, together, () => {
        this.#inAir -= 1;
        this.#departSoon();
      });
    });
  }

  /** There and back, with work at the server between. */
  trip(server: Queue, micros: number, back: () => void, there?: (doneAt: number) => void): void {
    const timeline = this.#timeline;
    timeline.at(timeline.now + this.halfTrip, () => {
      const doneAt = server.serve(timeline.now, micros);
      there?.(doneAt);
      timeline.at(doneAt + this.halfTrip, back);
    });
  }
}
