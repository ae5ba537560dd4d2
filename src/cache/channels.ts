import { channel } from 'node:diagnostics_channel';
import type { Key, KeyName } from './key.ts';

/**
 * What the engine tells the world: one diagnostics channel, on which metrics, logs, traces, the dashboard and the tests
 * subscribe. The engine itself counts and logs nothing. Publishing to a channel without subscribers costs a few
 * nanoseconds, so each call site asks `hasSubscribers` before it builds a message.
 */
export type CacheEvent =
  /** `negative`: that there is nothing was known. `requests`: so many were answered at once. */
  | {
      readonly type: 'hit';
      readonly key: Key;
      readonly tier: 'memory' | 'store';
      readonly negative: boolean;
      readonly requests: number;
    }
  | { readonly type: 'miss'; readonly key: Key }
  /** Answered by the work that another reader of this process had begun later than this one came. */
  | { readonly type: 'collapsed'; readonly key: Key }
  | { readonly type: 'refresh'; readonly key: Key }
  | { readonly type: 'wait'; readonly key: Key; readonly waitedMs: number }
  | { readonly type: 'bypass'; readonly key: Key; readonly reason: BypassReason }
  | {
      readonly type: 'fill';
      readonly key: Key;
      readonly bytes: number;
      readonly loadMs: number;
      readonly negative: boolean;
    }
  | {
      readonly type: 'fill-rejected';
      readonly key: Key;
      readonly reason: 'lease-lost' | 'fenced' | 'unsettled' | 'store-unavailable';
    }
  | { readonly type: 'fence'; readonly names: readonly KeyName[]; readonly reached: boolean }
  | { readonly type: 'release'; readonly names: readonly KeyName[]; readonly reached: boolean }
  | {
      readonly type: 'invalidate';
      readonly names: readonly KeyName[];
      readonly reached: boolean;
      readonly source: InvalidationSource;
    }
  | { readonly type: 'invalidate-all'; readonly prefix: string }
  | { readonly type: 'audit'; readonly key: Key; readonly differs: boolean }
  /** What was under a key was not what had been stored there; it was taken away. */
  | { readonly type: 'damage'; readonly key: Key }
  | { readonly type: 'outbox'; readonly swept: number }
  /** Nobody waits any more for a store that does not answer in time; closed again when it is up. */
  | { readonly type: 'breaker'; readonly open: boolean; readonly reason: string }
  | { readonly type: 'store'; readonly up: boolean; readonly reason: string };

/** Who has told of a change that was committed elsewhere. */
export type InvalidationSource = 'broadcast' | 'feed';

/** Why a read went to the database without filling. */
export type BypassReason = 'fenced' | 'wait-expired' | 'contended' | 'store-unavailable';

export const cacheChannel = channel('energex:cache');

export function publish(event: CacheEvent): void {
  cacheChannel.publish(event);
}
