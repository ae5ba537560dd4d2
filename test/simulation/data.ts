import type { KeyName } from '../../src/cache/key.ts';
import type { Committed } from './database/server.ts';

/**
 * The data of the simulation: two rows, the second of which is created and deleted, and a list over both with a part.
 * Each value that is ever written is a new one, so that a value tells when it was written.
 */
export const rows = ['1', '2'] as const;

const list = 'posts:all';
export const keys = [...rows.map(itemKey), list, `${list}#limit=1`] as const;

export const initially: Committed = {
  rows: new Map([['1', '0']]),
  outbox: new Map(),
  claim: { run: '', generation: 0, settled: true },
};

export function itemKey(row: string): KeyName {
  return `post:${row}`;
}

/** What a write of this row makes stale. */
export function namesAffectedBy(row: string): KeyName[] {
  return [itemKey(row), list];
}

/** What is cached under a key; a row that does not exist is a value too (a negative entry). */
export function valueOf(key: string, { rows: held }: Committed): string {
  if (!key.startsWith(list)) return held.get(key.slice('post:'.length)) ?? 'null';
  const all = rows.flatMap((row) => (held.has(row) ? [`${row}=${held.get(row)}`] : []));
  return `[${(key === list ? all : all.slice(0, 1)).join(' ')}]`;
}
