import type { Clock } from '../../src/cache/clock.ts';

/** A clock that stands still until it is told to move. Chance is a fixed number. */
export class ManualClock implements Clock {
  #now = 0;
  #timers: Timer[] = [];
  chance = 0;

  readonly now = (): number => this.#now;
  readonly soon = (task: () => void): void => {
    setImmediate(task);
  };
  readonly random = (): number => this.chance;

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.#timers.push({ at: this.#now + ms, run: resolve }));
  }

  every(ms: number, task: () => void): () => void {
    const timer: Timer = { at: this.#now + ms, run: task, periodMs: ms };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  /** How many sleeps and periods are under way. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Lets time pass, runs what falls due, in order, and lets what it sets off settle. */
  async advance(ms: number): Promise<void> {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      if (due.periodMs === undefined) this.#timers = this.#timers.filter((each) => each !== due);
      else due.at += due.periodMs;
      due.run();
      await settle();
    }
    this.#now = end;
  }
}

interface Timer {
  at: number;
  readonly run: () => void;
  readonly periodMs?: number;
}

/** Lets everything happen that only waits for turns of the event loop. */
export async function settle(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
