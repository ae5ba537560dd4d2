import type { KeyName } from '../../src/cache/key.ts';
import type { Committed } from './database/server.ts';

/**
 * The data of the simulation: two rows, the second of which is created and deleted, and a list over both with a part.
 * Each value that is ever written is a new one, so that a value tells when it was written.
 */
export const rows = ['1', '2'] as const;

export const list = 'posts:all';
export const keys = [...rows.map(itemKey), list, `${list}#limit=1`] as const;
/** What can be asked of the database beside the keys: the rows that there are. */
export const rowsThere = 'rows';

export const initially: Committed = {
  rows: new Map([['1', '0']]),
  outbox: new Map(),
  claim: { run: '', generation: 0, settled: true },
};

export function itemKey(row: string): KeyName {
  return `post:${row}`;
}

/** Each row is a segment of the list of its own. */
export function segmentKey(row: string): KeyName {
  return `${segmentPrefix}${row}`;
}

export const segmentPrefix = 'posts:rows:';

/** What a write of this row makes stale. */
export function namesAffectedBy(row: string): KeyName[] {
  return [itemKey(row), segmentKey(row), list];
}

/** What is cached under a key; a row that does not exist is a value too (a negative entry). */
export function valueOf(key: string, { rows: held }: Committed): string {
  const there = rows.filter((row) => held.has(row));
  if (key === rowsThere) return there.map((row) => `${row}=${held.get(row)}`).join(' ');
  if (key.startsWith(segmentPrefix)) {
    return there.flatMap((row) => (segmentKey(row) === key ? [`${row}=${held.get(row)}`] : [])).join(' ');
  }
  if (!key.startsWith(list)) return held.get(key.slice('post:'.length)) ?? 'null';
  const all = there.map((row) => `${row}=${held.get(row)}`);
  return `[${(key === list ? all : all.slice(0, 1)).join(' ')}]`;
}
