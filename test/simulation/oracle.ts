import { type Key, type KeyName, splitKey } from '../../src/cache/key.ts';
import { itemKey, keys, list, namesAffectedBy, rows, segmentKey, valueOf } from './data.ts';
import { outsider } from './database/statements.ts';
import type { Committed, CommitReport } from './database/server.ts';

/**
 * Knows at which instant each value was the committed one, and so whether an answer is right: it must have been the
 * committed value at an instant between the request's arrival and its answer. This is exact, and says more than that
 * reads never go back: two reads one after the other have their instants one after the other too.
 *
 * Instants are numbers of events: two of them are never the same.
 *
 * What may be answered beyond that, and why:
 * - A change that was recorded in the outbox because its fence could not be set (only with `withoutStore: 'accept'`): what
 *   was committed just before it may be answered until its names have been deleted from Redis, and replicas are asked to show
 *   the change, where there are any; but not by the instance that wrote, nor by one whose sweep before it trusted Redis began after the commit.
 * - A change of another program: until it was acknowledged by `invalidate`; and where that recorded it in the outbox, as
 *   above.
 * - After a failover to a database that is behind: what the old one held last, by an instance that has not yet connected to
 *   the new one, for keys that the new one has not changed yet.
 */
export class Oracle {
  readonly #history = new Map<Key, Span[]>();
  readonly #graces = new Set<Grace>();
  readonly #now: () => number;
  readonly #composed: boolean;
  #failover: { readonly at: number; readonly origin: string; readonly last: ReadonlyMap<Key, string> } | undefined;

  /** `composed`: the list is put together from segments. */
  constructor(now: () => number, committed: Committed, composed: boolean) {
    this.#now = now;
    this.#composed = composed;
    for (const key of keys)
      this.#history.set(key, [{ value: valueOf(key, committed), from: 0, to: Number.POSITIVE_INFINITY }]);
  }

  /** `position`: where the log of the database stands with it. */
  committed({ changed, recorded, writer, after }: CommitReport, position: string): void {
    this.#append(after);
    const outside = writer === outsider;
    const names = new Set(changed.flatMap(namesAffectedBy).filter((name) => outside || recorded.includes(name)));
    const since = this.#now();
    for (const name of names) {
      const grace = { name, since, until: Number.POSITIVE_INFINITY, writer, outside, recorded: !outside, position };
      this.#graces.add(grace);
    }
    if (changed.length > 0) return;
    for (const grace of this.#graces) if (grace.outside && recorded.includes(grace.name)) grace.recorded = true;
  }

  failedOver(committed: Committed, origin: string): void {
    const last = new Map(keys.map((key) => [key, this.#history.get(key)?.at(-1)?.value ?? '']));
    this.#append(committed);
    this.#failover = { at: this.#now(), origin, last };
  }

  /**
   * What was cached under the name is deleted from Redis, or can never be trusted again. `shown`: the position that replicas must
   * have come to, which answer loads from now on; `undefined` when the primary answers them.
   */
  deleted(name: KeyName | undefined, shown?: string): void {
    for (const grace of this.#graces) {
      if ((name === undefined || grace.name === name) && shows(shown, grace.position)) this.#end(grace);
    }
  }

  /** The other program was told that its change is seen by now. */
  acknowledged(names: readonly KeyName[], askedAt: number): void {
    for (const grace of this.#graces) {
      if (grace.outside && !grace.recorded && grace.since <= askedAt && names.includes(grace.name)) this.#end(grace);
    }
  }

  /** Why the answer is wrong; `undefined` when it is right. */
  judge(read: Read): string | undefined {
    const { key, value, askedAt, origin } = read;
    const spans = this.#history.get(key) ?? [];
    const floor = this.#floor(read, splitKey(key).name);
    const allowed = spans.filter(({ to }) => to > floor).map((span) => span.value);
    if (allowed.includes(value)) return undefined;
    if (this.#composed && key === list && this.#mayBeTorn(read, floor)) return undefined;
    const failover = this.#failover;
    if (failover !== undefined && origin !== failover.origin) {
      const unchanged = !spans.some(({ from }) => from > failover.at && from <= askedAt);
      if (unchanged && failover.last.get(key) === value) return undefined;
    }
    return `${key}: answered ${value}, where only ${allowed.join(' or ')} can be right (asked at ${askedAt}, answered at ${this.#now()})`;
  }

  /**
   * While something old may be answered, a list that is put together may show it beside what is newer: each row as it was
   * at some instant behind the floor of the list or of its own segment. That holds too where the change has come only since
   * the list was asked for: its row is then shown as it was before, others as they were after it.
   */
  #mayBeTorn(read: Read, floorOfList: number): boolean {
    if (![list, ...rows.map(segmentKey)].some((name) => this.#gracesOf(read, name).length > 0)) return false;
    const floors = rows.map((row) => Math.min(floorOfList, this.#floor(read, segmentKey(row))));
    return rows.every((row, index) => {
      const shown = new RegExp(`\\b${row}=(\\w+)`).exec(read.value)?.[1] ?? 'null';
      const spans = this.#history.get(itemKey(row)) ?? [];
      return spans.some(({ value, to }) => to > (floors[index] ?? read.askedAt) && value === shown);
    });
  }

  /** Whether a value was ever committed under the key. */
  knows(key: Key, value: string): boolean {
    return this.#history.get(key)?.some((span) => span.value === value) ?? false;
  }

  /** Names of which something old may still be answered. */
  get openGraces(): readonly KeyName[] {
    return [...this.#graces].filter(({ until }) => until === Number.POSITIVE_INFINITY).map(({ name }) => name);
  }

  #floor(read: Read, name: KeyName): number {
    // The value before it ended at that very instant.
    return Math.min(read.askedAt, ...this.#gracesOf(read, name).map(({ since }) => since - 1));
  }

  #gracesOf({ instance, askedAt, recoveredAt }: Read, name: KeyName): Grace[] {
    return [...this.#graces].filter((grace) => {
      const isUnaware = grace.outside || (recoveredAt < grace.since && instance !== grace.writer);
      return grace.name === name && grace.until > askedAt && isUnaware;
    });
  }

  #append(committed: Committed): void {
    const at = this.#now();
    for (const [key, spans] of this.#history) {
      const value = valueOf(key, committed);
      const last = spans.at(-1);
      if (last === undefined || last.value === value) continue;
      last.to = at;
      spans.push({ value, from: at, to: Number.POSITIVE_INFINITY });
    }
  }

  #end(grace: Grace): void {
    grace.until = Math.min(grace.until, this.#now());
  }
}

export interface Read {
  readonly key: Key;
  /** Its name. */
  readonly instance: string;
  readonly value: string;
  readonly askedAt: number;
  /** When the last recovery began after which the instance trusted Redis again. */
  readonly recoveredAt: number;
  /** Of the database that the instance knew when it asked. */
  readonly origin: string;
}

interface Span {
  readonly value: string;
  readonly from: number;
  to: number;
}

interface Grace {
  readonly name: KeyName;
  readonly since: number;
  until: number;
  readonly writer: string;
  readonly outside: boolean;
  /** Where the log of the database stands with the change. */
  readonly position: string;
  recorded: boolean;
}

/** Whether what has come to `shown` shows what stands at `position`; of another log nobody asks a replica. */
function shows(shown: string | undefined, position: string): boolean {
  if (shown === undefined) return true;
  const [log, number] = shown.split(' ');
  const [ownLog, ownNumber] = position.split(' ');
  return log !== ownLog || Number(number) >= Number(ownNumber);
}
