import type { BypassReason } from './channels.ts';
import type { HeldEntry } from './memory-tier.ts';
import type { Bytes } from './rope.ts';

/** What a read through the cache resolves with, and how it came about. */
export interface Answer {
  readonly value: Bytes;
  readonly meta: string;
  readonly outcome: Outcome;
  /** Of a hit, the entry in memory; the in-process tier may have evicted it by now. */
  readonly held?: HeldEntry | undefined;
  /** Another request's work gave this answer. */
  readonly collapsed: boolean;
}

export type Outcome =
  | { readonly kind: 'hit'; readonly ttlMs: number }
  | { readonly kind: 'loaded'; readonly stored: boolean }
  | { readonly kind: 'bypass'; readonly reason: BypassReason };
