import type { FaultKind } from './scenario.ts';

/** Counts what happened, to show that a run has met what it is to meet. */
export class Tally {
  readonly #counts = new Map<string, number>();
  /** Deletions by name. */
  readonly #deletions = new Map<string, number>();
  /** Loads under a lease, by key. */
  readonly #loads = new Map<string, number>();

  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  fault(kind: FaultKind): void {
    this.count(`fault: ${kind}`);
  }

  load(key: string): void {
    this.#loads.set(key, this.loads(key) + 1);
  }

  deletion(name: string): void {
    this.#deletions.set(name, this.deletions(name) + 1);
  }

  loads(key: string): number {
    return this.#loads.get(key) ?? 0;
  }

  deletions(name: string): number {
    return this.#deletions.get(name) ?? 0;
  }

  /** Begins to count loads and deletions anew. */
  forgetLoads(): void {
    this.#loads.clear();
    this.#deletions.clear();
  }

  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }
}
