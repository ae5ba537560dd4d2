import { CacheProblem, toProblem } from './problem.ts';
import type { Replica } from './replica.ts';
import type { Answer } from './rest.ts';
import type { AnyRow } from './rows.ts';
import type { Timing } from './timing.ts';

/** What a collection shows. The object is another one whenever something in it has changed. */
export interface Snapshot<Data> {
  /** `loading`: nothing to show yet. `failed`: nothing to show, and why stands in `problem`. */
  readonly status: 'loading' | 'ready' | 'failed';
  readonly data: Data | undefined;
  /** Why the last read did not succeed; it is tried again if that can help. */
  readonly problem: CacheProblem | undefined;
  /** It waits for a read: something was missed, or nobody has looked for a while. */
  readonly isStale: boolean;
}

/** What a view asks of the client around it. */
export interface Surroundings {
  readonly timing: Timing;
  read(path: string): Promise<Answer>;
  /** See `Connection`. */
  settledBefore(): number;
  /** The first listener came, or the last one went. */
  turned(view: LiveView, isActive: boolean): void;
  /** A read has been done, or has become due. */
  changed(): void;
}

/** What is shown, and where it is read. */
export interface Scope<Row extends AnyRow, Data> {
  readonly path: string;
  readonly rowPath: (id: string) => string;
  /** Of the whole resource if there is none. */
  readonly id?: string;
  readonly replica: Replica<Row>;
  readonly show: (rows: readonly Row[]) => Data;
  /** Throws `CacheProblem` for what is none. */
  readonly toRow: (data: unknown) => Row;
}

/** What the client knows of a view, whatever it shows. */
export interface LiveView {
  /** Not all of what is shown is as new as what was heard. */
  readonly isBehind: boolean;
  /** The whole is read anew after `delayMs`. */
  reload(delayMs: number): void;
  /** A change of a row, later than all that was heard of it. */
  hear(id: string, row: AnyRow | null, version: number): void;
  /** Something happened to a row; what, must be read. */
  touch(id: string): void;
  /** What is heard from now on cannot be compared with what was heard before. */
  forgetVersions(): void;
  /** The service can be reached again: no need to wait longer after a read that has failed. */
  retry(): void;
  stop(): void;
}

/**
 * A live collection: read when the first listener comes, kept current by events while there is one.
 *
 * One read of the whole at a time; one that becomes due meanwhile follows it. Rows are read one by one where an event alone
 * does not tell what they are, and the whole instead when they are many. A read that is due makes all others superfluous
 * that are asked for before it begins.
 */
export class View<Row extends AnyRow, Data> implements LiveView {
  readonly #surroundings: Surroundings;
  readonly #scope: Scope<Row, Data>;
  readonly #listeners = new Set<() => void>();
  /** Of the rows that are to be read: how to prevent that. */
  readonly #dueRows = new Map<string, () => void>();
  #snapshot: Snapshot<Data> | undefined;
  #isLoaded = false;
  #isDue = false;
  #isReading = false;
  #beganAt = -Infinity;
  #problem: CacheProblem | undefined;
  #failures = 0;
  #stopWaiting: (() => void) | undefined;

  constructor(surroundings: Surroundings, scope: Scope<Row, Data>) {
    this.#surroundings = surroundings;
    this.#scope = scope;
  }

  /** Calls `listener` after each change. Returns how to stop that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    // Each subscription is one of its own, even of the same function.
    const own = (): void => listener();
    this.#listeners.add(own);
    if (this.#listeners.size === 1) {
      this.#surroundings.turned(this, true);
      this.reload(0);
    }
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0) this.stop();
    };
  };

  /** The same object until something changes. */
  readonly getSnapshot = (): Snapshot<Data> => {
    this.#snapshot ??= {
      status: this.#isLoaded ? 'ready' : this.#problem === undefined ? 'loading' : 'failed',
      data: this.#isLoaded ? this.#scope.show(this.#scope.replica.rows) : undefined,
      problem: this.#problem,
      isStale: this.#isLoaded && (this.isBehind || this.#listeners.size === 0),
    };
    return this.#snapshot;
  };

  get isBehind(): boolean {
    return this.#isDue || this.#isReading;
  }

  reload(delayMs: number): void {
    this.#isDue = true;
    this.#failures = 0;
    this.#wait(delayMs);
    this.#changed();
  }

  hear(id: string, row: AnyRow | null, version: number): void {
    const { replica, toRow } = this.#scope;
    if (this.#scope.id !== undefined && this.#scope.id !== id) return;
    const isDoubtful = replica.hear(id, row === null ? null : toRow(row), version, this.#surroundings.settledBefore());
    if (isDoubtful) this.#readSoon(id);
    this.#refillIfShort();
    this.#changed();
  }

  touch(id: string): void {
    if (this.#scope.id === undefined || this.#scope.id === id) this.#readSoon(id);
  }

  forgetVersions(): void {
    this.#scope.replica.forgetVersions();
  }

  retry(): void {
    if (this.#isDue && this.#problem !== undefined) this.reload(this.#spread());
  }

  stop(): void {
    this.#listeners.clear();
    this.#stopWaiting?.();
    this.#forgetDueRows();
    this.#isDue = false;
    // Of what happens from now on, nothing is heard here.
    this.forgetVersions();
    this.#surroundings.turned(this, false);
    this.#changed();
  }

  #wait(delayMs: number): void {
    this.#stopWaiting?.();
    this.#stopWaiting = this.#surroundings.timing.after(delayMs, () => void this.#read());
  }

  #spread(): number {
    return spreadMs * this.#surroundings.timing.random();
  }

  /** Soon, not at once: all clients have heard the same. */
  #readSoon(id: string): void {
    if (this.#isDue || this.#dueRows.has(id)) return;
    if (this.#scope.id !== undefined || this.#dueRows.size >= mostDueRows) {
      this.#reloadSoon();
      return;
    }
    const prevent = this.#surroundings.timing.after(this.#spread(), () => void this.#readRow(id));
    this.#dueRows.set(id, prevent);
  }

  /** Not more often than now and then, however much is heard. */
  #reloadSoon(): void {
    this.#forgetDueRows();
    const pauseMs = this.#beganAt + reloadPauseMs - this.#surroundings.timing.now();
    this.reload(Math.max(0, pauseMs) + this.#spread());
  }

  #refillIfShort(): void {
    if (this.#scope.replica.isShort && !this.#isDue) this.#reloadSoon();
  }

  #forgetDueRows(): void {
    for (const prevent of this.#dueRows.values()) prevent();
    this.#dueRows.clear();
  }

  async #read(): Promise<void> {
    if (this.#isReading || this.#listeners.size === 0) return;
    this.#isReading = true;
    this.#isDue = false;
    this.#beganAt = this.#surroundings.timing.now();
    this.#forgetDueRows();
    const reading = this.#scope.replica.begin();
    try {
      const { rows, hasMore } = await this.#readRows();
      const doubtful = this.#scope.replica.answer(reading, rows, hasMore, this.#surroundings.timing.now());
      this.#isReading = false;
      this.#succeed(doubtful);
    } catch (error) {
      this.#scope.replica.fail(reading);
      this.#isReading = false;
      this.#fail(toProblem(error));
    }
    this.#changed();
  }

  async #readRows(): Promise<{ readonly rows: readonly Row[]; readonly hasMore: boolean }> {
    const { path, id, toRow } = this.#scope;
    if (id !== undefined) {
      const row = await this.#readIfThere(path);
      return { rows: row === null ? [] : [row], hasMore: false };
    }
    const { data, hasMore } = await this.#surroundings.read(path);
    if (!Array.isArray(data))
      throw new CacheProblem(0, 'UNEXPECTED', 'the service answered with something else than rows');
    return { rows: data.map(toRow), hasMore };
  }

  async #readRow(id: string): Promise<void> {
    this.#dueRows.delete(id);
    const { replica } = this.#scope;
    const reading = replica.begin();
    try {
      const row = await this.#readIfThere(this.#scope.rowPath(id));
      const isDoubtful = replica.answerRow(reading, id, row, this.#surroundings.timing.now());
      if (this.#listeners.size > 0) {
        if (isDoubtful) this.#readSoon(id);
        this.#refillIfShort();
      }
    } catch (error) {
      replica.fail(reading);
      // The whole is due then, with the pauses that this has.
      if (!this.#isReading) this.#fail(toProblem(error));
      else this.#isDue = true;
    }
    this.#changed();
  }

  async #readIfThere(path: string): Promise<Row | null> {
    try {
      return this.#scope.toRow((await this.#surroundings.read(path)).data);
    } catch (error) {
      if (error instanceof CacheProblem && error.isAbsence) return null;
      throw error;
    }
  }

  #succeed(doubtful: readonly string[]): void {
    this.#isLoaded = true;
    this.#problem = undefined;
    this.#failures = 0;
    if (this.#listeners.size === 0) return;
    // It became due again while it was read, and the timer may have found it being read.
    if (this.#isDue) this.#wait(0);
    for (const id of doubtful) this.#readSoon(id);
    this.#refillIfShort();
  }

  /** What can't help is not tried again, until something else makes the whole due. */
  #fail(problem: CacheProblem): void {
    this.#problem = problem;
    if (this.#listeners.size === 0) return;
    this.#isDue = problem.isTemporary || this.#isDue;
    if (this.#isDue) this.#wait(this.#pauseAfter(problem));
  }

  /** Grows with each failure, never the same for all, and not shorter than the service asked for. */
  #pauseAfter({ retryAfterMs = 0 }: CacheProblem): number {
    this.#failures += 1;
    const pauseMs = Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#failures, 10));
    return Math.max(retryAfterMs, pauseMs / 2) + (pauseMs / 2) * this.#surroundings.timing.random();
  }

  #changed(): void {
    this.#snapshot = undefined;
    this.#surroundings.changed();
    for (const listener of this.#listeners) listener();
  }
}

const spreadMs = 250;
const reloadPauseMs = 2_000;
const firstPauseMs = 500;
const longestPauseMs = 30_000;
const mostDueRows = 20;
