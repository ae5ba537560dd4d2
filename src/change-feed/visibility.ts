import { type Clock, pause } from '../cache/clock.ts';
import type { Database, Row } from '../database/database.ts';
import type { Resource } from '../resources/resource.ts';
import type { Image, RowChange } from './change-source.ts';

/**
 * Waits until a SELECT sees what the log tells of, at most `mostMs` milliseconds: whoever hears of a change reads again at
 * once, and must not find what was before (MySQL bug 120471). A row that is neither as before the change nor as after it has
 * been changed again, so the change was seen. Resolves with whether all was seen.
 */
export async function untilSeen(
  resource: Resource,
  rows: readonly RowChange[],
  { database, clock, mostMs }: { readonly database: Database; readonly clock: Clock; readonly mostMs: number },
): Promise<boolean> {
  const columns = Object.keys(resource.columns);
  let unseen = lastOfEach(resource, rows);
  const until = clock.now() + mostMs;
  for (;;) {
    const ids = [...unseen.keys()];
    if (ids.length === 0) return true;
    const marks = ids.map(() => database.dialect.integer).join(', ');
    const found = await database.query(
      `SELECT id, ${columns.join(', ')} FROM ${resource.table} WHERE id IN (${marks})`,
      ids,
    );
    const current = new Map(found.map(([id, ...own]) => [String(id), own]));
    unseen = new Map([...unseen].filter(([id, change]) => isAsBefore(columns, id, change, current.get(id))));
    if (unseen.size === 0) return true;
    if (clock.now() >= until) return false;
    await pause(clock, lookAgainMs);
  }
}

/** What happened last to each id. */
function lastOfEach(resource: Resource, rows: readonly RowChange[]): Map<string, RowChange> {
  const last = new Map<string, RowChange>();
  for (const change of rows) {
    if (change.table !== resource.table) continue;
    for (const image of [change.before, change.after]) if (image !== null) last.set(String(image['id']), change);
  }
  return last;
}

function isAsBefore(columns: readonly string[], id: string, { before }: RowChange, current: Row | undefined): boolean {
  const was = before !== null && String(before['id']) === id ? before : null;
  if (was === null || current === undefined) return was === null && current === undefined;
  return columns.every((name, index) => isSame(was, name, current[index]));
}

function isSame(image: Image, name: string, current: Row[number] | undefined): boolean {
  const value = image[name];
  if (value === undefined || current === undefined) return false;
  return value === null || current === null ? value === current : String(value) === String(current);
}

const lookAgainMs = 5;
