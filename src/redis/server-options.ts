import type { Clock } from '../cache/clock.ts';
import type { ClaimPort } from './claim.ts';
import type { OpenLink } from './link.ts';

export interface TrustedServerOptions {
  /** Tells it apart from others. */
  readonly name?: string;
  readonly openLink: OpenLink;
  readonly clock: Clock;
  /** Deadline of a command of a few bytes, in milliseconds. */
  readonly timeoutMs: number;
  /** Deadline of a command that may carry a large value, in milliseconds. */
  readonly bulkTimeoutMs: number;
  /** How long a fence stands at most, in milliseconds: no COMMIT is out for longer. */
  readonly fenceMs: number;
  /** Invalidates what changed while the store was out of reach; the store is trusted once it resolves. */
  readonly recover: () => Promise<void>;
  /**
   * Resolves with `true` when every transaction has ended that had set a fence before the call, with `false` when one of
   * them would not end in time; rejects when the database is away.
   */
  readonly barrier: () => Promise<boolean>;
  /** Says in the database which run is in use, so that those who are still at another find out. */
  readonly claim?: ClaimPort;
  /** Which database values are loaded from now: entries that were loaded from another one are not trusted. */
  readonly origin: () => string;
  /** A text that was never given out before. */
  readonly unique: () => string;
  /** The fence tables that are opened before the server is trusted. */
  readonly settleFirst: readonly string[];
}
