/**
 * The keys that are read most, in bounded memory: Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient computation of
 * frequent and top-k elements in data streams", 2005). A key that is not held takes the place of the one with the least
 * count, and its count. So no key that is read more often than a `capacity`-th of all is missed, and a count is too high by
 * the least count at most.
 */
export class HotKeys {
  readonly #capacity: number;
  readonly #counts = new Map<string, number>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** `weight` reads of a key. */
  count(key: string, weight: number): void {
    const known = this.#counts.get(key);
    if (known !== undefined || this.#counts.size < this.#capacity) {
      this.#counts.set(key, (known ?? 0) + weight);
      return;
    }
    let least = '';
    let fewest = Number.POSITIVE_INFINITY;
    for (const [other, count] of this.#counts) {
      if (count >= fewest) continue;
      least = other;
      fewest = count;
    }
    this.#counts.delete(least);
    this.#counts.set(key, fewest + weight);
  }

  /** Makes what was read earlier count for less. */
  fade(share: number): void {
    for (const [key, count] of this.#counts) {
      if (count * share < 1) this.#counts.delete(key);
      else this.#counts.set(key, count * share);
    }
  }

  /** The first `most`, with their shares of all that is held, from 0 to 1. */
  hottest(most: number): { readonly key: string; readonly share: number }[] {
    const all = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    return [...this.#counts]
      .toSorted(([, one], [, other]) => other - one)
      .slice(0, most)
      .map(([key, count]) => ({ key, share: count / all }));
  }
}
