import type { KeyName } from '../cache/key.ts';
import { asArray, asText } from './replies.ts';
import type { Call } from './scripts.ts';

export interface Scanned {
  /** Where to go on; `0` when all was seen. */
  readonly cursor: string;
  readonly names: readonly KeyName[];
}

/**
 * Names that match a pattern of Redis, bit by bit. SCAN tells of every key that is there from its beginning to its end, and of
 * each name its guard: an entry without one has no version, and the leases are in the guards too.
 */
export async function scanNames({ link, deadlineMs }: Call, from: string, pattern: string): Promise<Scanned> {
  const [reply] = await link.send(deadlineMs, [['SCAN', from, 'MATCH', `{${pattern}${guardEnd}`, 'COUNT', atOnce]]);
  const [cursor, guards] = asArray(reply);
  return { cursor: asText(cursor), names: asArray(guards).map((guard) => asText(guard).slice(1, -guardEnd.length)) };
}

const guardEnd = '}:guard';
const atOnce = 500;
