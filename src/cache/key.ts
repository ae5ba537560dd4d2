/**
 * Keys.
 *
 * A **name** such as `post:1` or `posts:all` stands for one cached value and for its **guard**, the small record that
 * holds its version and its lease. A name may have **parts**, written `posts:all#limit=20`: values of
 * their own that hang on the guard of their name. Whoever fences or invalidates the name takes all its parts with it
 * in the same atomic step, without having to know which exist. That is how a page of a list is invalidated with the list.
 */

/** `post:1`, `posts:all` or, with a part, `posts:all#limit=20`. */
export type Key = string;
/** A key without a part: what is fenced, released and invalidated. */
export type KeyName = string;

const separator = '#';

export function partOf(name: KeyName, part: string): Key {
  return `${name}${separator}${part}`;
}

/** Splits a key into its name and its part (`''` for the name's own value). */
export function splitKey(key: Key): { name: KeyName; part: string } {
  const at = key.indexOf(separator);
  return at === -1 ? { name: key, part: '' } : { name: key.slice(0, at), part: key.slice(at + 1) };
}
