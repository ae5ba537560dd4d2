import type { Key, KeyName } from './key.ts';

/**
 * A look at what a store holds, for people: nothing of it is part of the protocol, and none of it is remembered. Each store
 * offers one; what both must hold is in `test/contracts/inspection.ts`.
 */
export interface Inspection {
  /** Names that match a pattern as Redis has it (`post:*`, `?`), at most `most` of them. */
  find(pattern: string, most: number): Promise<FoundNames>;
  /** What there is under a key; `null` when there is nothing, not even a lease or a fence. */
  look(key: Key): Promise<Looked | null>;
  usage(): Promise<StoreUsage>;
}

export interface FoundNames {
  readonly names: readonly KeyName[];
  /** There may be more. */
  readonly hasMore: boolean;
}

export interface Looked {
  readonly version: string | null;
  /** It is what readers are answered with. */
  readonly isCurrent: boolean;
  /** The version was stored without bytes: instances put the value together from segments. */
  readonly isComposed: boolean;
  readonly meta: string;
  /** How long loading the value took, in milliseconds. */
  readonly loadMs: number | null;
  /** Milliseconds that it still lives; `null` where there is no value. */
  readonly ttlMs: number | null;
  readonly bytes: number | null;
  /** The beginning of the value, at most `shownBytes`. */
  readonly value: Buffer | null;
  /** Milliseconds that a loader still has; `null` when nobody is loading. */
  readonly leaseMs: number | null;
  /** How many writes keep new values out. */
  readonly fences: number;
  /** The parts of the name that have a version. */
  readonly parts: readonly string[];
}

export interface StoreUsage {
  readonly bytes: number;
  /** 0: none but the machine's. */
  readonly limitBytes: number;
  /** Since the store began. */
  readonly evictions: number;
  readonly keys: number;
}

export const shownBytes = 64 * 1024;

/** A pattern of Redis, as far as `*` and `?` go. */
export function matcherOf(pattern: string): (name: string) => boolean {
  const source = pattern
    .replaceAll(/[\\^$.+()[\]{}|]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const matching = new RegExp(`^${source}$`, 's');
  return (name) => matching.test(name);
}
