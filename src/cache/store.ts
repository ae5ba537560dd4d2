import type { Key, KeyName } from './key.ts';
import type { Notice } from './notices.ts';
import type { Bytes } from './rope.ts';

/**
 * The port of the engine: what a cache server must be able to do. Each call is one atomic step of the protocol in
 * `docs/consistency.md`. `memory-store.ts` and `redis/store.ts` implement it; `test/contracts/cache-store.ts` says what
 * both must hold.
 *
 * Any call may reject with `StoreUnavailable`: the step may or may not have happened, and the protocol is made so that
 * either is harmless.
 */
export interface CacheStore {
  /** The version of the value under `key`, `null` when there is none that can be trusted. The linearization point of a hit. */
  validate(key: Key): Promise<string | null>;

  /**
   * Whether each version is still that of the value under its key, for many at once and without a promise for each: `tell`
   * hears of each, by its place in `claims`; `undefined` where the store could not be asked. Resolves when all were told,
   * and never rejects. `tell` must not throw.
   */
  confirm(claims: readonly VersionClaim[], tell: (at: number, isCurrent: boolean | undefined) => void): Promise<void>;

  /** Version, then value. `null` when there is none that can be trusted. */
  read(key: Key): Promise<Entry | null>;

  /** The same for many at once, told as by `confirm`. */
  readAll(keys: readonly Key[], tell: (at: number, found: Found) => void): Promise<void>;

  /**
   * Decides what a reader that missed does next; takes the lease when it is free. With `renew` a value that is there is no
   * answer: it is to be loaded anew, and stays readable meanwhile.
   */
  acquire(key: Key, leaseMs: number, options?: AcquireOptions): Promise<Acquired>;

  /**
   * Stores a value loaded under `token`, unless the lease was lost or a fence is open by now. A fill without bytes stores
   * the version alone, for those who can put the bytes together (`AcquireOptions.composes`).
   */
  fill(key: Key, token: string, value: Fill): Promise<Filled>;

  /** Stores the bytes of a version that was filled without. Whether that is still the current one. */
  attach(key: Key, version: string, value: Bytes): Promise<boolean>;

  /** Gives a lease back without a value, so that others need not wait for its deadline. */
  surrender(key: Key, token: string): Promise<void>;

  /**
   * Deletes the values under `names` and all their parts, and keeps new ones out until `release` with the same token,
   * at most `fenceMs` milliseconds. A second call with the same token moves the deadline.
   */
  fence(names: readonly KeyName[], token: string, fenceMs: number): Promise<void>;

  /**
   * Deletes the values under `names` and all their parts, and opens this writer's own fence. Others may stay closed. Loads
   * that begin later must show what was committed: `unknown` when that is not said.
   */
  release(names: readonly KeyName[], token: string, committed?: Commit): Promise<void>;

  /**
   * Deletes the values under all names that begin with `prefix`, with all their parts and leases, as `release` does. What
   * was there when it began is gone when it resolves.
   */
  releaseAll(prefix: string): Promise<void>;

  /**
   * Which store this is, as it is claimed in the database while it is in use; `undefined` where there can be no other. A
   * fence counts only in the store that is in use: an instance may still be at one that all others have left.
   */
  readonly run?: string | undefined;

  /** A token or version that was never used before and never will be. */
  unique(): string;

  /** Resolves when the store answers, trusted or not. */
  ping(): Promise<void>;

  close(): Promise<void>;
}

export interface AcquireOptions {
  readonly renew?: boolean;
  /** The caller can put the value together: where it was filled without bytes, its version is the answer. */
  readonly composes?: boolean;
}

export interface VersionClaim {
  readonly key: Key;
  readonly version: string;
}

/** A value with what belongs to it. `value` is never written to after it was handed over. */
export interface Entry<Value = Buffer> {
  readonly version: string;
  readonly value: Value;
  /** Whatever the owner of the value keeps beside it (its entity tag, the cursor of the next page); opaque here. */
  readonly meta: string;
  /** Milliseconds until the entry expires. */
  readonly ttlMs: number;
  /** How long loading the value took, in milliseconds. */
  readonly loadMs: number;
}

/** `absent`: there is none that can be trusted. `unanswered`: the store could not be asked. */
export type Found = Entry | 'absent' | 'unanswered';

export interface Fill {
  readonly value: Buffer | null;
  readonly meta: string;
  readonly ttlMs: number;
  /** Whole milliseconds. */
  readonly loadMs: number;
  /** Where the database stood when `since`, which came with the lease, did not know. */
  readonly found?: { readonly since: Since; readonly position: Position } | undefined;
}

/**
 * How far the log of a database has come: `STREAM NUMBER`, the number of a commit among those of its stream. Of two
 * positions in one stream the greater number is the later one.
 */
export type Position = string;

/** What was committed behind a fence; `unknown` where in the log of the database that is not known. */
export type Commit = 'nothing' | 'unknown' | { readonly position: Position };

/** What a load must show: all commits up to `position`; where nobody knows it, what the primary shows. */
export interface Since {
  readonly position: Position | undefined;
  /** The store's own name for what it said, so that it knows for what a position was found. */
  readonly mark: string;
}

export type Acquired =
  | { readonly kind: 'hit'; readonly entry: Entry }
  /** A version that was filled without bytes. */
  | { readonly kind: 'version'; readonly entry: Omit<Entry, 'value'> }
  /** The caller loads, and fills with `token`, which becomes the version of the value. */
  | { readonly kind: 'lease'; readonly token: string; readonly since: Since }
  /** Another reader is loading. The caller closes the notice, which is heard when that load has ended. */
  | { readonly kind: 'wait'; readonly remainingMs: number; readonly notice: Notice }
  /** A write is committing, or may be: whoever loads now must not fill. */
  | { readonly kind: 'bypass' };

export type Filled =
  | { readonly stored: true }
  /** `unsettled`: the store has lost its memory, and may have lost a fence with it. */
  | { readonly stored: false; readonly reason: 'lease-lost' | 'fenced' | 'unsettled' };

/** The cache server cannot be reached, did not answer in time, or is not trusted yet. */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
}
