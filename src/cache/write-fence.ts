import { type InvalidationSource, publish } from './channels.ts';
import type { Clock } from './clock.ts';
import type { KeyName } from './key.ts';
import type { Outbox } from './outbox.ts';
import { type CacheStore, type Commit, type Position, StoreUnavailable } from './store.ts';

/**
 * The write path: `docs/consistency.md`, "Write".
 *
 *   begin -> fenced -> committed -> released -> acknowledged
 *
 * The fence stands before COMMIT: from then on nothing can be filled for the keys, readers go to the database, and a
 * writer that dies at any point leaves no stale entry behind, only a fence that runs out. A transaction that rolls back
 * releases its fence; one whose outcome is unknown leaves it to run out.
 *
 * When the store cannot be reached, the names go into the outbox inside the same transaction (or the write is refused,
 * by `withoutStore: 'reject'`).
 */
export class WriteFence {
  readonly #store: CacheStore;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #options: WriteFenceOptions;

  constructor(store: CacheStore, outbox: Outbox, clock: Clock, options: WriteFenceOptions) {
    this.#store = store;
    this.#outbox = outbox;
    this.#clock = clock;
    this.#options = options;
  }

  /**
   * Runs `transact`, which must await `beforeCommit` as the last thing before COMMIT whenever it changed something,
   * and must resolve only once the commit is certain. When this resolves, every reader sees the change.
   */
  async write<T>(transact: Transact<T>): Promise<T> {
    const token = this.#store.unique();
    let names: readonly KeyName[] = [];
    let recorded = false;
    let committed: Commit = 'unknown';
    let stopExtending = (): void => undefined;
    const committedAt: CommittedAt = (position) => {
      committed = { position };
    };
    const beforeCommit: BeforeCommit = async (affected, recordInTransaction, inUse) => {
      // A transaction that is tried again may affect other names than the first time; all are released.
      names = [...new Set([...names, ...affected])];
      if (!(await this.#fence(names, token, inUse))) {
        await recordInTransaction(names);
        recorded = true;
        return;
      }
      stopExtending();
      stopExtending = this.#extend(names, token);
    };
    try {
      const result = await transact(beforeCommit, committedAt);
      // An extension behind the release would set the fence anew, and nobody would take it away.
      stopExtending();
      await this.#release(names, token, { recorded, committed });
      return result;
    } catch (error) {
      // Unknown: the commit may yet happen, so the fence must stand until no COMMIT can be under way any more.
      if (!(error instanceof OutcomeUnknown)) await this.#withdraw(names, token, 'nothing');
      throw error;
    } finally {
      stopExtending();
    }
  }

  /**
   * Invalidates names for a change that someone else has already committed. When this resolves, no reader of this
   * store is answered with what was cached before.
   *
   * With `fenceMs` nothing is cached under the names for so long, and then again by itself: for a change that is told of
   * before every reader of the database sees it. Resolves with how to take that fence away earlier, once all do.
   */
  async invalidate(
    names: readonly KeyName[],
    { fenceMs, source = 'broadcast', position }: InvalidateOptions = {},
  ): Promise<LiftFence> {
    const { run } = this.#store;
    const token = this.#store.unique();
    const committed: Commit = position === undefined ? 'unknown' : { position };
    const step = (): Promise<void> =>
      fenceMs === undefined ? this.#store.release(names, token, committed) : this.#store.fence(names, token, fenceMs);
    const reached = (await this.#reach(step)) && (run === undefined || (await this.#isInUse(run)));
    publish({ type: 'invalidate', names, reached, source });
    if (!reached) {
      await this.#outbox.record(names);
      // Once more, now that the row is there: a store that swept an empty outbox in between trusts itself again.
      await this.#reach(step);
    }
    return async () => {
      if (fenceMs !== undefined) await this.#withdraw(names, token, committed);
    };
  }

  /**
   * Invalidates all names that begin with `prefix`. Rejects with `StoreUnavailable` when that could not be done, or was done
   * in a store that is not in use: the caller tries again.
   */
  async invalidateAll(prefix: string): Promise<void> {
    const { run } = this.#store;
    await this.#store.releaseAll(prefix);
    if (run !== undefined && !(await this.#isInUse(run))) throw new StoreUnavailable('another store is in use');
    publish({ type: 'invalidate-all', prefix });
  }

  /** Others may have gone to another store. While the database is away nobody can say so, and none can go there. */
  async #isInUse(run: string): Promise<boolean> {
    return this.#store.run === run && (await this.#outbox.isInUse(run).catch(() => true));
  }

  async #fence(names: readonly KeyName[], token: string, inUse: string | undefined): Promise<boolean> {
    const fenced = await this.#reach(() => this.#store.fence(names, token, this.#options.fenceMs));
    const reached = fenced && (inUse === undefined || this.#store.run === undefined || this.#store.run === inUse);
    publish({ type: 'fence', names, reached });
    if (!reached && this.#options.withoutStore === 'reject') {
      throw new WriteRefused('the store cannot be reached');
    }
    return reached;
  }

  /** A live writer moves its deadline while its COMMIT is out, however long the database takes. */
  #extend(names: readonly KeyName[], token: string): () => void {
    const { fenceMs } = this.#options;
    return this.#clock.every(fenceMs / 3, () => {
      void this.#reach(() => this.#store.fence(names, token, fenceMs));
    });
  }

  /** Tried also when the fence could not be set: the store may be back. */
  async #release(
    names: readonly KeyName[],
    token: string,
    { recorded, committed }: { readonly recorded: boolean; readonly committed: Commit },
  ): Promise<void> {
    if (names.length === 0) return;
    const reached = await this.#reach(() => this.#store.release(names, token, committed));
    publish({ type: 'release', names, reached });
    // Either the fence still stands or the outbox has the names from the transaction, so nothing is stale; the row is
    // for a server that has lost the fence with its memory. The change is committed and must be acknowledged whatever
    // happens here.
    if (!reached && !recorded) await this.#outbox.record(names).catch(() => undefined);
  }

  /** Takes the fence away, as well as that goes. */
  async #withdraw(names: readonly KeyName[], token: string, committed: Commit): Promise<void> {
    if (names.length > 0) await this.#reach(() => this.#store.release(names, token, committed));
  }

  async #reach(step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      if (error instanceof StoreUnavailable) return false;
      throw error;
    }
  }
}

export interface InvalidateOptions {
  readonly fenceMs?: number;
  /** Who tells of the change; for those who observe. */
  readonly source?: InvalidationSource;
  /** Where the change stands in the log of the database. */
  readonly position?: Position | undefined;
}

/** Takes the fence of an invalidation away. One that cannot be reached runs out by itself. */
export type LiftFence = () => Promise<void>;

export interface WriteFenceOptions {
  /** Longer than any COMMIT can hang, in milliseconds. */
  readonly fenceMs: number;
  /** What becomes of a write while the store cannot be reached. */
  readonly withoutStore: 'accept' | 'reject';
}

/**
 * Called with the names that the transaction affects. `recordInTransaction` stores names in the outbox as part of the
 * transaction; it is called when the fence cannot be set. `inUse` is the store that is in use, as the database has it, and
 * as it stays until the transaction ends.
 */
export type BeforeCommit = (
  names: readonly KeyName[],
  recordInTransaction: (names: readonly KeyName[]) => Promise<void>,
  inUse?: string,
) => Promise<void>;

/** Says where in the log of the database the commit stands, where that can be learned. */
export type CommittedAt = (position: Position) => void;

export type Transact<T> = (beforeCommit: BeforeCommit, committedAt: CommittedAt) => Promise<T>;

/** Thrown by a transaction whose COMMIT may or may not have taken effect. */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown';
}

/** The write was not begun, because the store cannot be told of it. */
export class WriteRefused extends Error {
  override readonly name = 'WriteRefused';
}
