import type { KeyName } from '../cache/key.ts';
import type { SqlValue } from '../database/database.ts';
import { toNumberWhereExact } from './identifier.ts';
import type { Resource } from './resource.ts';

/** What a committed change of a row means for a resource; derived from its definition alone. */
export interface Meaning {
  readonly names: readonly KeyName[];
  /** In the order in which they are to be told. */
  readonly events: readonly RowEvent[];
  /** Ids of rows of the embedded table: rows of the resource that show one of them are stale as well. */
  readonly shown: readonly string[];
}

export interface RowEvent {
  readonly event: string;
  readonly id: string;
  /** The values of the resource's own columns, in their order; `null` where the row is gone. */
  readonly own: readonly SqlValue[] | null;
}

interface RowOf {
  readonly table: string;
  readonly before: Columns | null;
  readonly after: Columns | null;
}

type Columns = Readonly<Record<string, SqlValue>>;

/** A change of columns that the resource does not show means nothing to it. */
export function meaningOf(resource: Resource, { table, before, after }: RowOf): Meaning {
  const own = table === resource.table ? ownMeaning(resource, before, after) : nothing;
  const { embed } = resource;
  if (embed === undefined || table !== embed.table || !differ(Object.keys(embed.columns), before, after)) return own;
  // An id that changes is that of another row; both may be shown.
  const ids = [before, after].flatMap((row) => (row === null ? [] : [idOf(row)]));
  return { ...own, shown: [...new Set(ids)] };
}

function ownMeaning(resource: Resource, before: Columns | null, after: Columns | null): Meaning {
  const columns = Object.keys(resource.columns);
  if (!differ(columns, before, after)) return nothing;
  const gone = before === null ? undefined : idOf(before);
  const here = after === null ? undefined : idOf(after);
  const names = [gone, here].flatMap((id) => (id === undefined ? [] : resource.keysAffectedBy(id)));
  const { created, updated, deleted } = resource.events;
  const events: RowEvent[] = [];
  if (gone !== undefined && gone !== here) events.push({ event: deleted, id: gone, own: null });
  if (here !== undefined && after !== null) {
    const event = gone === here ? updated : created;
    events.push({ event, id: here, own: columns.map((name) => after[name] ?? null) });
  }
  return { names: [...new Set(names)], events, shown: [] };
}

const nothing: Meaning = { names: [], events: [], shown: [] };

function differ(columns: readonly string[], before: Columns | null, after: Columns | null): boolean {
  return before === null || after === null || columns.some((name) => !isSame(before[name], after[name]));
}

function isSame(one: SqlValue | undefined, other: SqlValue | undefined): boolean {
  return one === other || (one !== null && other !== null && String(one) === String(other));
}

function idOf(row: Columns): string {
  return String(row['id']);
}

/** `data` of the event of a row that is gone. */
export function deletedJson(id: string): string {
  return JSON.stringify({ id: toNumberWhereExact(id) });
}

/** The tables whose rows are shown in the resource. */
export function tablesOf({ table, embed }: Resource): readonly string[] {
  return embed === undefined ? [table] : [table, embed.table];
}

/** What all names of the resource begin with: those of its rows, of its list and of the list's segments. */
export function prefixesOf(resource: Resource): readonly string[] {
  return [resource.listKey, resource.segmentPrefix, resource.itemKey('')];
}
