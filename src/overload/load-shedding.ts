import type { Clock } from '../cache/clock.ts';
import { publishShed, type RefusalReason } from './shed.ts';
import { DropProbability, updateMs } from './drop-probability.ts';

/**
 * Refuses requests before they cost anything, so that those that are answered are answered in time.
 *
 * **When the event loop is late**: how late it is, is how much later a timer comes than it was due. What counts is the least of
 * some samples, as CoDel has it (RFC 8289): one long answer is no overload, a queue that does not go away is one. While hardly anybody asks it is not requests
 * that make it late, but other programs on the machine: then nothing would be won by refusing any.
 *
 * **When there is a long queue at the database**, what needs the database.
 */
export class LoadShedding {
  readonly #clock: Pick<Clock, 'now' | 'random'>;
  readonly #isDatabaseBusy: () => boolean;
  readonly #probability: DropProbability | undefined;
  readonly #samples: number[] = [];
  readonly #stop: () => void;
  #arrived = 0;
  #dueAt: number;

  /** `delayMs`: how late the event loop may be for long; without it that is of no interest. */
  constructor(
    delayMs: number | undefined,
    isDatabaseBusy: () => boolean,
    clock: Pick<Clock, 'now' | 'random' | 'every'>,
  ) {
    this.#clock = clock;
    this.#isDatabaseBusy = isDatabaseBusy;
    this.#probability = delayMs === undefined ? undefined : new DropProbability(delayMs);
    this.#dueAt = clock.now() + updateMs;
    this.#stop = clock.every(updateMs, () => this.#sample());
  }

  /** Why the request that has just arrived is to be refused, if it is. */
  refuse(needsDatabase: boolean): RefusalReason | undefined {
    const reason = this.#reason(needsDatabase);
    if (reason !== undefined) publishShed(reason);
    return reason;
  }

  #reason(needsDatabase: boolean): RefusalReason | undefined {
    this.#arrived += 1;
    const share = this.#probability?.value ?? 0;
    if (share > 0 && this.#clock.random() < share) return 'event-loop';
    return needsDatabase && this.#isDatabaseBusy() ? 'database' : undefined;
  }

  stop(): void {
    this.#stop();
  }

  #sample(): void {
    const now = this.#clock.now();
    this.#samples.push(Math.max(0, now - this.#dueAt));
    if (this.#samples.length > samples) this.#samples.shift();
    this.#dueAt = now + updateMs;
    this.#probability?.update(this.#arrived < fewest ? 0 : Math.min(...this.#samples));
    this.#arrived = 0;
  }
}

/** A tenth of a second when nothing is late. */
const samples = 5;
/** Requests between two samples. */
const fewest = 10;
