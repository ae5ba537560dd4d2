import { LRUCache } from 'lru-cache';

/** Port: counts requests in windows of time. `redis/request-counts.ts` counts for all instances, the one here for its own. */
export interface RequestCounts {
  /** One more under `key`, in a window of so many milliseconds that begins with the first. May reject with `StoreUnavailable`. */
  count(key: string, windowMs: number): Promise<Counted>;
}

export interface Counted {
  readonly count: number;
  /** Until the window ends. */
  readonly leftMs: number;
}

/** Adapter: in this process. Past the bound, those that were not heard of for the longest time begin anew. */
export class OwnCounts implements RequestCounts {
  readonly #now: () => number;
  readonly #windows = new LRUCache<string, { count: number; readonly endsAt: number }>({ max: mostKeys });

  /** `now` is in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  async count(key: string, windowMs: number): Promise<Counted> {
    const now = this.#now();
    let window = this.#windows.get(key);
    if (window === undefined || window.endsAt <= now) {
      window = { count: 0, endsAt: now + windowMs };
      this.#windows.set(key, window);
    }
    window.count += 1;
    return { count: window.count, leftMs: window.endsAt - now };
  }
}

const mostKeys = 100_000;
