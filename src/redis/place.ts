import { type Key, splitKey } from '../cache/key.ts';

/** Where a key lives in Redis. All three hash to the same cluster slot. */
export interface Place {
  readonly fences: string;
  readonly value: string;
  readonly guard: string;
  /** Ends the names of the part's fields in the guard; empty for the name's own value. */
  readonly suffix: string;
}

/** A key for bytes that are to be the value of a place, in the same slot. `id` is never used twice. */
export function preparedAt({ guard }: Place, id: string): string {
  return `${guard}:bytes:${id}`;
}

/** The fence table of a server that is no cluster. */
export const fenceTable = 'energex:fences';

/**
 * `prefix` begins all keys, so that several services can share a Redis: those that begin with a brace have it behind that.
 * `fencesOf` names the fence table that belongs to a name with its prefix.
 */
export function placesWith(prefix: string, fencesOf: (name: string) => string): (key: Key) => Place {
  return (key) => {
    const { name: own, part } = splitKey(key);
    const name = `${prefix}${own}`;
    const fences = `${prefix}${fencesOf(name)}`;
    const guard = `{${name}${guardEnd}`;
    return part === ''
      ? { fences, value: name, guard, suffix: '' }
      : { fences, value: `{${name}}:part:${part}`, guard, suffix: `#${part}` };
  };
}

/** The name, with its prefix, that a guard belongs to: all of its keys are in the slot of that. */
export function slotNameOf(guard: string): string {
  return guard.slice(1, -guardEnd.length);
}

export const guardEnd = '}:guard';
