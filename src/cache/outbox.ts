import type { KeyName } from './key.ts';

/**
 * The port to the outbox: names whose invalidation could not reach the store wait here, in the database, where the
 * change itself is. A write records them inside its own transaction (see `WriteFence`); `sweep` is called once a second
 * by every instance, and always before a store that was out of reach is trusted again.
 */
export interface Outbox {
  /** Records names outside any transaction: for an invalidation that found the store away after the commit. */
  record(names: readonly KeyName[]): Promise<void>;
  /**
   * Hands the waiting names to `invalidate`, some at a time, and forgets those that it has reached. Returns how many rows
   * went.
   */
  sweep(invalidate: (names: readonly KeyName[]) => Promise<Reached>): Promise<number>;

  /** Whether `run` is the store that is in use, as the database has it. */
  isInUse(run: string): Promise<boolean>;
}

/** What was invalidated, and where: what one store was told is news to the others, so only the one in use counts. */
export interface Reached {
  readonly names: readonly KeyName[];
  /** See `CacheStore.run`. */
  readonly run: string | undefined;
}
