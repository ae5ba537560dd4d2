import type { Clock } from '../../src/cache/clock.ts';
import type { Random } from './random.ts';
import type { TimedEvent, Timeline } from './timeline.ts';

/**
 * The process that an instance runs in. It can be killed, and then nothing of it goes on; or paused, and then all that
 * would have happened to it happens when it goes on.
 */
export class Host {
  readonly name: string;
  readonly timeline: Timeline;
  readonly random: Random;
  readonly clock: Clock;
  readonly #startedAt: number;
  #alive = true;
  #pausedUntil = 0;

  constructor(name: string, timeline: Timeline, random: Random) {
    this.name = name;
    this.timeline = timeline;
    this.random = random;
    // Clocks of processes have nothing to do with each other.
    this.#startedAt = timeline.now - random.below(100_000);
    this.clock = {
      now: () => timeline.now - this.#startedAt,
      sleep: (ms) => new Promise((resolve) => void this.after(ms, resolve)),
      every: (ms, task) => this.#every(ms, task),
      soon: (task) => void this.after(random.between(0, 0.1), task),
      random: random.fraction,
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
  }

  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.timeline.now + ms);
  }

  /** Runs `task` in this process after `ms` milliseconds. Returns how to cancel it. */
  after(ms: number, task: () => void): () => void {
    let event: TimedEvent;
    const run = (): void => {
      if (!this.#alive) return;
      if (this.timeline.now < this.#pausedUntil) event = this.timeline.at(this.#pausedUntil, run);
      else task();
    };
    event = this.timeline.after(ms, run);
    return () => {
      event.run = undefined;
    };
  }

  #every(ms: number, task: () => void): () => void {
    let cancel = (): void => undefined;
    let cancelled = false;
    const again = (): void => {
      cancel = this.after(ms, () => {
        task();
        if (!cancelled) again();
      });
    };
    again();
    return () => {
      cancelled = true;
      cancel();
    };
  }
}
