import { type Bytes, Rope } from './rope.ts';

/**
 * A negative entry: that there is nothing under a key is cached too, so that asking for it again and again costs the
 * database nothing. It is an entry like any other, with a time to live of its own; creating the row invalidates it.
 */
export const absentValue = Buffer.from('null');

/** Whether a value says that there is nothing. No value is `null` in JSON but this one. */
export function isAbsent({ value }: { readonly value: Bytes }): boolean {
  return value.length === absentValue.length && !(value instanceof Rope) && value.equals(absentValue);
}
