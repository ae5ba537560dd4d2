import { type Key, splitKey } from '../cache/key.ts';

/** Where a key lives in Redis. All three hash to the same cluster slot. */
export interface Place {
  readonly fences: string;
  readonly value: string;
  readonly guard: string;
  /** Ends the names of the part's fields in the guard; empty for the name's own value. */
  readonly suffix: string;
}

export const fenceTable = 'energex:fences';

export function placeOf(key: Key): Place {
  const { name, part } = splitKey(key);
  const guard = `{${name}}:guard`;
  return part === ''
    ? { fences: fenceTable, value: name, guard, suffix: '' }
    : { fences: fenceTable, value: `{${name}}:part:${part}`, guard, suffix: `#${part}` };
}
