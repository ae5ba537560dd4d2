import type { Cluster, Instance } from './cluster.ts';
import { memberOf } from './http-client.ts';

/**
 * What a fault costs who reads one row and who writes another, at each instance, without a pause between two requests but a
 * few milliseconds. In milliseconds, of the instance that had it worst.
 */
export type Gap = {
  /** From the last hit before to the first one after: reads went to the database meanwhile. */
  readonly withoutHitsMs: number;
  /** The slowest read. */
  readonly slowestReadMs: number;
  /** Reads that were not answered 200. */
  readonly failedReads: number;
  /** From the last accepted write before to the first one after. */
  readonly withoutWritesMs: number;
};

export class GapWatch {
  readonly #loops: Promise<Gap>[];
  #going = true;

  constructor({ instances, watchedRow }: Cluster) {
    this.#loops = instances.map((instance) => this.#watch(instance, watchedRow));
  }

  async end(): Promise<Gap> {
    this.#going = false;
    const gaps = await Promise.all(this.#loops);
    return {
      withoutHitsMs: Math.max(...gaps.map((gap) => gap.withoutHitsMs)),
      slowestReadMs: Math.max(...gaps.map((gap) => gap.slowestReadMs)),
      failedReads: gaps.reduce((sum, gap) => sum + gap.failedReads, 0),
      withoutWritesMs: Math.max(...gaps.map((gap) => gap.withoutWritesMs)),
    };
  }

  async #watch(instance: Instance, row: string): Promise<Gap> {
    const [reads, writes] = await Promise.all([this.#read(instance, row), this.#write(instance)]);
    return { ...reads, withoutWritesMs: writes };
  }

  async #read({ http }: Instance, row: string): Promise<Omit<Gap, 'withoutWritesMs'>> {
    let lastHitAt = performance.now();
    const gap = { withoutHitsMs: 0, slowestReadMs: 0, failedReads: 0 };
    while (this.#going) {
      const began = performance.now();
      const answer = await http.send('GET', `/cache/posts/${row}`);
      const now = performance.now();
      gap.slowestReadMs = Math.max(gap.slowestReadMs, Math.round(now - began));
      const isGood = answer.kind === 'answered' && answer.status === 200;
      if (!isGood) gap.failedReads += 1;
      if (isGood && memberOf(answer.json, 'source') === 'cache') {
        gap.withoutHitsMs = Math.max(gap.withoutHitsMs, Math.round(now - lastHitAt));
        lastHitAt = now;
      }
      await pause();
    }
    return gap;
  }

  /** To the row of the instance's own, which nobody else writes. */
  async #write({ http, writtenRow }: Instance): Promise<number> {
    let lastAt = performance.now();
    let longest = 0;
    for (let count = 0; this.#going; count += 1) {
      const title = `watch ${count}`;
      const answer = await http.send('PUT', `/cache/posts/${writtenRow}`, { title });
      const now = performance.now();
      if (answer.kind === 'answered' && answer.status === 200) {
        longest = Math.max(longest, Math.round(now - lastAt));
        lastAt = now;
      }
      await pause();
    }
    return longest;
  }
}

const pauseMs = 10;

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
