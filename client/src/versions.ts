/** Which version of each row was heard last. Bounded: of the rows that were heard of longest ago, only a bound is known. */
export class Versions {
  readonly #most: number;
  readonly #latest = new Map<string, number>();
  /** No version that was forgotten is larger. */
  #forgotten = -1;

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether an event of this version says something new of the row. */
  hear(id: string, version: number): 'newer' | 'older' | 'unclear' {
    const latest = this.#latest.get(id);
    if (latest !== undefined && version <= latest) return 'older';
    this.#latest.delete(id);
    this.#latest.set(id, version);
    this.#forgetOldest();
    return latest === undefined && version <= this.#forgotten ? 'unclear' : 'newer';
  }

  /** Versions of another epoch cannot be compared with those of before. */
  clear(): void {
    this.#latest.clear();
    this.#forgotten = -1;
  }

  #forgetOldest(): void {
    for (const [id, version] of this.#latest) {
      if (this.#latest.size <= this.#most) return;
      this.#latest.delete(id);
      this.#forgotten = Math.max(this.#forgotten, version);
    }
  }
}
