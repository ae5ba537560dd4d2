import type { Random } from '../../test/simulation/random.ts';

/** The time to the next of events that come by chance, so many per second (a Poisson process); in microseconds. */
export function nextAfter(random: Random, perSecond: number): number {
  return perSecond <= 0 ? Number.POSITIVE_INFINITY : (-Math.log(1 - random.fraction()) / perSecond) * 1e6;
}

/** Draws keys: the n-th is asked for as often as 1 / n^exponent says (Zipf); with 0 all as often. */
export class Keys {
  readonly #cumulative: Float64Array;

  constructor(count: number, exponent: number) {
    this.#cumulative = new Float64Array(count);
    let sum = 0;
    for (let at = 0; at < count; at += 1) {
      sum += (at + 1) ** -exponent;
      this.#cumulative[at] = sum;
    }
  }

  /** How much of all that is asked for is this key. */
  shareOf(key: number): number {
    const cumulative = this.#cumulative;
    return ((cumulative[key] ?? 0) - (cumulative[key - 1] ?? 0)) / (cumulative.at(-1) ?? 1);
  }

  draw(random: Random): number {
    const cumulative = this.#cumulative;
    const wanted = random.fraction() * (cumulative.at(-1) ?? 0);
    let [low, high] = [0, cumulative.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 0) <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
