import type { KeyName } from '../cache/key.ts';
import type { Command, Reply } from './link.ts';
import { guardEnd, slotNameOf } from './place.ts';
import { asArray, asText } from './replies.ts';

export interface Scanned {
  /** Where to go on; `0` when all was seen. */
  readonly cursor: string;
  readonly names: readonly KeyName[];
}

/**
 * Names that match a pattern of Redis, bit by bit. SCAN tells of every key that is there from its beginning to its end, and of
 * each name its guard: an entry without one has no version, and the leases are in the guards too. `prefix` begins all keys.
 */
export async function scanNames(
  send: Send,
  from: string,
  { prefix, pattern }: { readonly prefix: string; readonly pattern: string },
): Promise<Scanned> {
  const guard = `{${prefix}${pattern}${guardEnd}`;
  const [reply] = await send([['SCAN', from, 'MATCH', guard, 'COUNT', atOnce]]);
  const [cursor, guards] = asArray(reply);
  const names = asArray(guards).map((each) => slotNameOf(asText(each)).slice(prefix.length));
  return { cursor: asText(cursor), names };
}

type Send = (commands: readonly Command[]) => Promise<readonly Reply[]>;

const atOnce = 500;
