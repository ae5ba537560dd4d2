import { type Key, type KeyName, partOf } from '../cache/key.ts';
import type { Row, SqlValue } from '../database/database.ts';
import type { Column } from './columns.ts';
import { segmentNumberOf } from './list-segment.ts';

/**
 * What a table behind the cache is: everything else (routes, keys, SQL, validation, invalidation, live events) is
 * derived from this one definition.
 */
export interface Definition {
  /** Plural, as in the URL and the keys: `posts`. */
  readonly name: string;
  /** Singular, as in the keys of single rows and in messages: `post`. */
  readonly item: string;
  readonly table: string;
  /** In the order of the JSON members. The primary key is `id`. */
  readonly columns: Readonly<Record<string, Column>>;
  /** A row of another table that is shown inside each row. */
  readonly embed?: Embed;
  /**
   * The column that names the owner. Where tokens say who asks, the row is that user's who creates it, and nobody else's to
   * change; where writes are open, a `DELETE` that gives an owner must give the right one.
   */
  readonly owner?: string;
  /** Where the owners are rows themselves, and which of them may change the rows of all. */
  readonly owners?: Owners;
  /** Live events for what happened to a row. */
  readonly events: { readonly created: string; readonly updated: string; readonly deleted: string };
  /** Values for the documentation, by column, where those of the kinds of columns say too little. */
  readonly examples?: Readonly<Record<string, unknown>>;
  /** In milliseconds. `absent` is for rows that don't exist. */
  readonly ttl: { readonly list: number; readonly item: number; readonly absent: number };
}

export interface Embed {
  /** The JSON member that holds it: `user`. */
  readonly as: string;
  readonly table: string;
  /** The column of this resource that holds the other row's `id`. */
  readonly through: string;
  /** Nothing else of the other row ever leaves the service. Has `id`. */
  readonly columns: Readonly<Record<string, Column>>;
}

export interface Owners {
  /** Its primary key is `id`. */
  readonly table: string;
  /** The column that tells what a user may do. It never leaves the service. */
  readonly role: string;
  /** What stands there for those who may change the rows of all. */
  readonly administrator: string;
}

export interface Resource extends Definition {
  readonly path: string;
  /** `Post`, as messages begin. */
  readonly label: string;
  readonly listKey: KeyName;
  itemKey(id: string): KeyName;
  pageKey(limit: number, after: string | undefined): Key;
  /** What all names of the list's segments begin with. */
  readonly segmentPrefix: string;
  segmentKey(number: bigint): KeyName;
  /** The keys that a change of the row `id` makes stale. */
  keysAffectedBy(id: string): readonly KeyName[];
  /** A row as selected by `statements.ts`, as JSON text. */
  toJson(row: Row): string;
}

/**
 * Checks a definition and derives what all parts of the service need of it.
 * Throws `TypeError` with a sentence that says what to change.
 */
export function defineResource(definition: Definition): Resource {
  checkDefinition(definition);
  const listKey = `${definition.name}:all`;
  const itemKey = (id: string): KeyName => `${definition.item}:${id}`;
  const segmentPrefix = `${definition.name}:rows:`;
  const segmentKey = (number: bigint): KeyName => `${segmentPrefix}${number}`;
  return {
    ...definition,
    path: `/cache/${definition.name}`,
    label: definition.item.charAt(0).toUpperCase() + definition.item.slice(1),
    listKey,
    itemKey,
    pageKey: (limit, after) => partOf(listKey, `limit=${limit}${after === undefined ? '' : `&after=${after}`}`),
    segmentPrefix,
    segmentKey,
    // The list last: once it may be filled again, so may the segment.
    keysAffectedBy: (id) => [itemKey(id), segmentKey(segmentNumberOf(id)), listKey],
    toJson: compileJson(definition),
  };
}

const identifierPattern = /^[a-z][a-z0-9_]{0,63}$/;

/** The names end up in SQL and in keys, so they must be plain; and what they point to must be there. */
function checkDefinition({ name, item, table, columns, embed, owner, owners }: Definition): void {
  const names = [name, item, table, ...Object.keys(columns)];
  if (owners !== undefined) names.push(owners.table, owners.role);
  if (embed !== undefined) names.push(embed.as, embed.table, embed.through, ...Object.keys(embed.columns));
  for (const each of names) {
    if (!identifierPattern.test(each)) {
      throw new TypeError(`Resource ${name}: "${each}" must match ${identifierPattern.source}`);
    }
  }
  if (!('created_at' in columns)) {
    throw new TypeError(`Resource ${name}: "created_at" is missing among the columns; lists are in its order`);
  }
  if (!('id' in columns) || (embed !== undefined && !('id' in embed.columns))) {
    throw new TypeError(`Resource ${name}: "id" is missing among the columns`);
  }
  if (owners !== undefined && owner === undefined) {
    throw new TypeError(`Resource ${name}: "owners" tells whose rows they are, but no "owner" says by which column`);
  }
  for (const [role, column] of [
    ['owner', owner],
    ['embed.through', embed?.through],
  ] as const) {
    if (column !== undefined && !(column in columns)) {
      throw new TypeError(`Resource ${name}: ${role} names "${column}", which is none of its columns`);
    }
  }
}

/** One function that writes a row, with the texts between the values prepared. */
function compileJson({ columns, embed }: Definition): (row: Row) => string {
  const own = compileMembers(columns, 0);
  if (embed === undefined) return (row) => `{${own(row)}}`;
  const at = Object.keys(columns).length;
  const embedded = compileMembers(embed.columns, at);
  const idAt = at + Object.keys(embed.columns).indexOf('id');
  return (row) => `{${own(row)},"${embed.as}":${row[idAt] === null ? 'null' : `{${embedded(row)}}`}}`;
}

function compileMembers(columns: Readonly<Record<string, Column>>, from: number): (row: Row) => string {
  const members = Object.entries(columns).map(([name, { toJson }], index) => ({
    prefix: `${index === 0 ? '' : ','}"${name}":`,
    toJson,
  }));
  return (row) => {
    let json = '';
    let at = from;
    for (const { prefix, toJson } of members) {
      json += prefix + toJson(row[at] ?? null);
      at += 1;
    }
    return json;
  };
}

/** What a client sent for the writable columns, checked. */
export type Fields = Readonly<Record<string, SqlValue>>;

/** The names of the columns that a client may give: all when the row is created, fewer afterwards. */
export function writableColumns(columns: Definition['columns'], moment: 'create' | 'update'): string[] {
  return Object.entries(columns)
    .filter(([, { writable }]) => writable === 'always' || (moment === 'create' && writable === 'on-create'))
    .map(([name]) => name);
}
