/**
 * What clients did and what they were told, by the one clock of their process (`performance.now`, milliseconds).
 *
 * A key is the id of a row, a register that holds a value or, while there is no such row, nothing (`null`).
 */
export type Value = string | null;

export type Operation = {
  readonly key: string;
  readonly kind: 'read' | 'write';
  /** What was read, or what was to be written; a deletion writes `null`. */
  readonly value: Value;
  readonly invokedAt: number;
  /** Infinity for what may take effect at any time after its invocation. */
  readonly respondedAt: number;
  /**
   * `failed`: certainly without effect. `unknown`: nobody told (COMMIT_UNKNOWN, a lost connection), so that it may take
   * effect at any time, or never.
   */
  readonly outcome: 'ok' | 'failed' | 'unknown';
  /** For people: who did it, and where. */
  readonly by: string;
};

/** One answer of a list: all its rows at one instant. */
export type ListRead = {
  readonly rows: ReadonlyMap<string, Value>;
  /** The list was not full, so that a row that is not in it did not exist. */
  readonly complete: boolean;
  readonly invokedAt: number;
  readonly respondedAt: number;
  readonly by: string;
};

/** A creation that was not answered: nobody was told the id. Its value is unique, so that whoever reads it tells the key. */
type Creation = { readonly value: string; readonly invokedAt: number; readonly outcome: 'unknown' | 'failed' };

/** All operations of one round. */
export class History {
  readonly #operations = new Map<string, Operation[]>();
  readonly #creations: (Creation & { readonly by: string })[] = [];
  readonly lists: ListRead[] = [];

  /** Tracks a row; what is told of others is left out. `initial` is what it held before the first operation. */
  track(key: string, initial: Value): void {
    if (this.#operations.has(key)) return;
    this.#operations.set(key, []);
    if (initial === null) return;
    const before = { invokedAt: -Infinity, respondedAt: -Infinity };
    this.add({ key, kind: 'write', value: initial, ...before, outcome: 'ok', by: 'before the first operation' });
  }

  add(operation: Operation): void {
    this.#operations.get(operation.key)?.push(operation);
  }

  addCreation(creation: Creation & { readonly by: string }): void {
    this.#creations.push(creation);
  }

  get keys(): string[] {
    return [...this.#operations.keys()];
  }

  get size(): number {
    return [...this.#operations.values()].reduce((sum, list) => sum + list.length, this.lists.length);
  }

  /** Those of each key, what lists and creations without an answer tell of it included. */
  byKey(): Map<string, Operation[]> {
    const all = new Map([...this.#operations].map(([key, list]): [string, Operation[]] => [key, [...list]]));
    for (const list of this.lists) {
      for (const [key, value] of list.rows) all.get(key)?.push(readIn(list, key, value));
    }
    for (const [key, own] of all) own.push(...this.#absencesOf(key, own), ...this.#creationsOf(key, own));
    return all;
  }

  /** Lists without the row are of use only around the time at which something was done to it. */
  #absencesOf(key: string, own: readonly Operation[]): Operation[] {
    const times = own.flatMap((each) => [each.invokedAt, each.respondedAt]).filter((time) => Number.isFinite(time));
    const from = Math.min(...times) - aroundMs;
    const to = Math.max(...times) + aroundMs;
    return this.lists
      .filter((list) => list.complete && !list.rows.has(key) && list.respondedAt >= from && list.invokedAt <= to)
      .map((list) => readIn(list, key, null));
  }

  #creationsOf(key: string, own: readonly Operation[]): Operation[] {
    const seen = new Set(own.flatMap((each) => (each.kind === 'read' ? [each.value] : [])));
    return this.#creations
      .filter(({ value }) => seen.has(value))
      .map((each) => ({ ...each, key, kind: 'write', respondedAt: Infinity }));
  }
}

const aroundMs = 2_000;

function readIn(list: ListRead, key: string, value: Value): Operation {
  const { invokedAt, respondedAt, by } = list;
  return { key, kind: 'read', value, invokedAt, respondedAt, outcome: 'ok', by };
}
