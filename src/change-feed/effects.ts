import type { Cache } from '../cache/cache.ts';
import { type Clock, pause } from '../cache/clock.ts';
import { latestOf } from '../cache/frontier.ts';
import type { KeyName } from '../cache/key.ts';
import type { Position as LogPosition } from '../cache/store.ts';
import type { LiftFence } from '../cache/write-fence.ts';
import type { Database, Row, SqlValue } from '../database/database.ts';
import type { EventLog, LiveEvent } from '../realtime/event-log.ts';
import { deletedJson, meaningOf, prefixesOf, type RowEvent, tablesOf } from '../resources/changes.ts';
import type { Embed, Resource } from '../resources/resource.ts';
import { roomsOfRow } from '../resources/row-events.ts';
import type { Cascades } from './cascades.ts';
import type { Change, RowChange } from './change-source.ts';
import { publish } from './channels.ts';
import { untilSeen } from './visibility.ts';

/**
 * What a change does: first it takes out of the cache what it has made stale, then it is told to the browsers.
 *
 * A row event may be read before a SELECT sees the row (MySQL bug 120471, https://bugs.mysql.com/bug.php?id=120471): the
 * server sends it before it commits in the storage engine. So what is invalidated stays fenced until the row is seen, at most
 * for `fenceMs`, and nobody is told before.
 *
 * Whatever is done here may be done again: the follower repeats itself after a fault.
 */
export class Effects {
  readonly #options: EffectsOptions;

  constructor(options: EffectsOptions) {
    this.#options = options;
  }

  /** In order. Rejects with `StoreUnavailable`, or an error of the database: then all of it is to be done again. */
  async apply(changes: readonly Change[], cascades: Cascades, source: string): Promise<void> {
    let rows: RowChange[] = [];
    for (const change of changes) {
      if (change.type === 'row') rows.push(change);
      if (change.type !== 'table') continue;
      await this.#applyRows(rows, cascades, source);
      rows = [];
      await this.#clearThose((resource) => isConcerned(resource, change.table, cascades), change.reason);
    }
    await this.#applyRows(rows, cascades, source);
  }

  /** For when it is not known what has changed. */
  async clearAll(reason: string): Promise<void> {
    await this.#clearThose(() => true, reason);
  }

  async #applyRows(rows: readonly RowChange[], cascades: Cascades, source: string): Promise<void> {
    if (rows.length === 0) return;
    const names = new Set<KeyName>();
    const events: Told[] = [];
    let isShown = false;
    for (const resource of this.#options.resources) {
      const shown = new Set<string>();
      for (const row of rows) {
        const meaning = meaningOf(resource, row);
        for (const name of meaning.names) names.add(name);
        for (const id of meaning.shown) shown.add(id);
        for (const each of meaning.events) events.push({ ...each, resource, place: row.place });
      }
      isShown ||= shown.size > 0;
      for await (const found of this.#showing(resource, [...shown])) await this.#invalidate(found, rows);
    }
    const lifts = await this.#invalidate([...names], rows);
    const lost = (resource: Resource): boolean => rows.some((row) => mayCascade(resource, row, cascades));
    await this.#clearThose(lost, 'a foreign key may have changed rows that the log does not tell of');
    const areSeen = await this.#areSeen(events, rows);
    await this.#tell(events, source);
    // Whether a row that is shown in others is seen was not looked at: then the fences run out by themselves.
    if (areSeen && !isShown) for (const lift of lifts) await lift();
    publish({ type: 'applied', rows: rows.length, names: names.size, events: events.length });
  }

  async #areSeen(events: readonly Told[], rows: readonly RowChange[]): Promise<boolean> {
    const { database, clock, fenceMs } = this.#options;
    let areSeen = true;
    for (const resource of new Set(events.map((each) => each.resource))) {
      areSeen = (await untilSeen(resource, rows, { database, clock, mostMs: fenceMs })) && areSeen;
    }
    return areSeen;
  }

  async #invalidate(names: readonly KeyName[], rows: readonly RowChange[]): Promise<LiftFence[]> {
    const { cache, fenceMs } = this.#options;
    const position = committedIn(rows);
    const lifts: LiftFence[] = [];
    for (let from = 0; from < names.length; from += namesAtOnce) {
      const some = names.slice(from, from + namesAtOnce);
      lifts.push(await cache.invalidate(some, { fenceMs, source: 'feed', position }));
    }
    return lifts;
  }

  /** The names of rows of the resource that show one of these rows of the embedded table, some at a time. */
  async *#showing(resource: Resource, ids: readonly string[]): AsyncGenerator<readonly KeyName[]> {
    const { database } = this.#options;
    const { embed } = resource;
    if (embed === undefined) return;
    const { integer } = database.dialect;
    for (let from = 0; from < ids.length; from += idsAtOnce) {
      const some = ids.slice(from, from + idsAtOnce);
      const marks = some.map(() => integer).join(', ');
      let after = '0';
      for (;;) {
        const found = await database.query(
          `SELECT id FROM ${resource.table} WHERE ${embed.through} IN (${marks}) AND id > ${integer} ORDER BY id LIMIT ${pageSize}`,
          [...some, after],
        );
        const names = new Set(found.flatMap(([id]) => resource.keysAffectedBy(String(id))));
        if (names.size > 0) yield [...names];
        if (found.length < pageSize) break;
        after = String(found.at(-1)?.[0]);
      }
    }
  }

  /**
   * Twice, because of the bug above: what was loaded between the first time and the moment in which every SELECT sees the
   * change goes with the second. Who was told of single changes up to now cannot be told of these: a new epoch begins.
   */
  async #clearThose(concerned: (resource: Resource) => boolean, reason: string): Promise<void> {
    const { cache, clock, events, fenceMs, resources } = this.#options;
    const those = resources.filter(concerned);
    if (those.length === 0) return;
    const clear = async (): Promise<void> => {
      for (const resource of those) {
        for (const prefix of prefixesOf(resource)) await cache.invalidateAll(prefix);
      }
    };
    await clear();
    await pause(clock, fenceMs);
    await clear();
    await events.renew();
    for (const { name } of those) publish({ type: 'cleared', resource: name, reason });
  }

  async #tell(told: readonly Told[], source: string): Promise<void> {
    if (told.length === 0) return;
    const shown = new Map<Resource, Map<string, Row>>();
    for (const resource of new Set(told.map((each) => each.resource))) {
      shown.set(resource, await this.#loadEmbedded(resource, told));
    }
    // Resources were looked at one after the other; what is told is in the order of the log.
    const inOrder = told.toSorted((one, other) => compareTexts(one.place, other.place));
    const repeated = new Map<string, number>();
    const live = inOrder.map((each): LiveEvent => {
      const count = repeated.get(each.place) ?? 0;
      repeated.set(each.place, count + 1);
      const { resource } = each;
      return {
        event: each.event,
        data: toData(each, shown.get(resource)),
        rooms: roomsOfRow(resource, each.id),
        mark: `${each.place}.${String(count).padStart(4, '0')}`,
      };
    });
    for (let from = 0; from < live.length; from += eventsAtOnce) {
      await this.#options.events.append(live.slice(from, from + eventsAtOnce), { source });
    }
  }

  /** The rows of the embedded table that the events show, as they are now, by id. */
  async #loadEmbedded(resource: Resource, told: readonly Told[]): Promise<Map<string, Row>> {
    const { embed } = resource;
    const found = new Map<string, Row>();
    if (embed === undefined) return found;
    const at = Object.keys(resource.columns).indexOf(embed.through);
    const wanted = told.flatMap((each) => (each.resource === resource && each.own !== null ? [each.own[at]] : []));
    let ids = [...new Set(wanted.filter((id) => id !== null && id !== undefined).map(String))];
    const { clock, fenceMs } = this.#options;
    const until = clock.now() + fenceMs;
    for (;;) {
      for (const [id, row] of await this.#selectEmbedded(embed, ids)) found.set(id, row);
      ids = ids.filter((id) => !found.has(id));
      // One that is missing was deleted since, or the transaction that made it with the row is not seen yet (the bug above).
      if (ids.length === 0 || clock.now() >= until) return found;
      await pause(clock, lookAgainMs);
    }
  }

  async #selectEmbedded(embed: Embed, ids: readonly string[]): Promise<Map<string, Row>> {
    const { database } = this.#options;
    const columns = Object.keys(embed.columns);
    const found = new Map<string, Row>();
    for (let from = 0; from < ids.length; from += idsAtOnce) {
      const some = ids.slice(from, from + idsAtOnce);
      const marks = some.map(() => database.dialect.integer).join(', ');
      const rows = await database.query(
        `SELECT ${columns.join(', ')} FROM ${embed.table} WHERE id IN (${marks})`,
        some,
      );
      for (const row of rows) found.set(String(row[columns.indexOf('id')]), row);
    }
    return found;
  }
}

/** Where the last of their commits stands; `undefined` unless all are known, and of one stream. */
function committedIn(rows: readonly RowChange[]): LogPosition | undefined {
  return latestOf(rows.map(({ committed }) => ({ position: committed, mark: '' })))?.position;
}

export interface EffectsOptions {
  readonly resources: readonly Resource[];
  readonly cache: Pick<Cache, 'invalidate' | 'invalidateAll'>;
  readonly database: Database;
  readonly events: Pick<EventLog, 'append' | 'renew'>;
  readonly clock: Clock;
  /** How long nothing is cached under what a change has made stale, in milliseconds. */
  readonly fenceMs: number;
}

interface Told extends RowEvent {
  readonly resource: Resource;
  readonly place: string;
}

function toData({ resource, id, own }: Told, shown: ReadonlyMap<string, Row> | undefined): string {
  if (own === null) return deletedJson(id);
  const { embed } = resource;
  if (embed === undefined) return resource.toJson(own);
  const through = own[Object.keys(resource.columns).indexOf(embed.through)] ?? null;
  const none: SqlValue[] = Object.keys(embed.columns).map(() => null);
  return resource.toJson([...own, ...(shown?.get(String(through)) ?? none)]);
}

function isConcerned(resource: Resource, table: string, cascades: Cascades): boolean {
  const tables = tablesOf(resource);
  return tables.includes(table) || tables.some((each) => cascades.childrenOf(table).has(each));
}

/** The row is gone, or has another key, and a foreign key may have made something of its children. */
function mayCascade(resource: Resource, { table, before, after }: RowChange, cascades: Cascades): boolean {
  if (before === null) return false;
  const children = cascades.childrenOf(table);
  if (!tablesOf(resource).some((each) => children.has(each))) return false;
  return after === null || String(before['id']) !== String(after['id']);
}

function compareTexts(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

/** Each is a script of some ten microseconds, and all go within the deadline of a small command. */
const namesAtOnce = 50;
const idsAtOnce = 100;
const pageSize = 500;
const lookAgainMs = 20;
const eventsAtOnce = 200;
