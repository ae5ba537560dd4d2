import type { Timing } from '../../client/src/timing.ts';

/** Time that stands still until it is told to move. Chance is a fixed number, or what `chance` tells. */
export class ManualTiming implements Timing {
  #now = 0;
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  chance: () => number = () => 0;

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.chance();
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((each) => each !== timer);
    };
  }

  get waiting(): number {
    return this.#timers.length;
  }

  /** When the next one falls due, from now; `undefined` when there is none. */
  get nextMs(): number | undefined {
    const next = Math.min(...this.#timers.map(({ at }) => at));
    return next === Infinity ? undefined : Math.max(0, next - this.#now);
  }

  /** Lets time pass, runs what falls due, in order, and lets what it sets off settle. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#now = Math.max(this.#now, due.at);
      this.#timers = this.#timers.filter((each) => each !== due);
      due.run();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets everything happen that only waits for promises. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
