import type { Segment, SegmentSource, Together } from '../cache/composition.ts';
import type { Key } from '../cache/key.ts';
import type { Loaded } from '../cache/read-through.ts';
import { latestOf } from '../cache/frontier.ts';
import { toBuffer } from '../cache/rope.ts';
import type { Since } from '../cache/store.ts';
import type { Database, Row } from '../database/database.ts';
import { joinSegments, type OrderColumns, segmentNumberOf, segmentSize, toSegment } from './list-segment.ts';
import { readMeta, type SegmentRange, writeMeta } from './meta.ts';
import type { Resource } from './resource.ts';
import { buildStatements, type Statements } from './statements.ts';

/** The list of all rows of a resource: whole, or in segments of `segmentSize` ids. */
export class ListSource implements SegmentSource {
  readonly #resource: Resource;
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #columns: OrderColumns;
  /** Whether the list was not worth segments when someone looked last. Each load of the whole looks again. */
  #isWhole = false;
  #wanted: Wanted[] = [];

  constructor(resource: Resource, database: Database) {
    const columns = Object.keys(resource.columns);
    this.#resource = resource;
    this.#database = database;
    this.#statements = buildStatements(resource, database.dialect);
    this.#columns = { createdAt: columns.indexOf('created_at'), id: columns.indexOf('id') };
  }

  /** Whether the list is known not to be worth segments. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  async segments(): Promise<readonly Key[] | undefined> {
    const [row] = await this.#database.query(this.#statements.selectRange);
    return this.#keysOf(toRange(row));
  }

  segmentsOf(meta: string): readonly Key[] | undefined {
    return this.#keysOf(readMeta(meta).segments);
  }

  /** Those that are asked for in one turn of the event loop are loaded in as few statements as can be. */
  loadSegment(key: Key, since?: Since): Promise<Loaded> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ number: this.#numberIn(key), since, resolve, reject });
      if (this.#wanted.length === 1) setImmediate(() => this.#loadWanted());
    });
  }

  #loadWanted(): void {
    const wanted = this.#wanted.toSorted((one, other) => (one.number < other.number ? -1 : 1));
    this.#wanted = [];
    for (let from = 0; from < wanted.length; from += segmentsAtOnce) {
      const some = wanted.slice(from, from + segmentsAtOnce);
      this.#load(some).catch((error: unknown) => {
        for (const { reject } of some) reject(error);
      });
    }
  }

  async #load(wanted: readonly Wanted[]): Promise<void> {
    const numbers = wanted.map(({ number }) => number);
    const bounds = toBounds(numbers);
    const since = latestOf(wanted.map((each) => each.since));
    const sql = this.#statements.selectRows(bounds.length / 2);
    const { rows, position } = await this.#database.load(sql, bounds, since);
    const segments = this.#toSegments(numbers, rows);
    for (const { number, resolve } of wanted) {
      resolve({
        ...(segments.get(number) ?? this.#toSegment([])),
        ttlMs: this.#resource.ttl.list,
        expiresTogether: true,
        position,
      });
    }
  }

  async loadTogether(keys: readonly Key[]): Promise<Together> {
    const numbers = keys.map((key) => this.#numberIn(key));
    const bounds = toBounds(numbers);
    const rows = await this.#database.query(this.#statements.selectRangeAndRows(bounds.length / 2), bounds);
    const own = rows.map((row) => row.slice(2)).filter((row) => row[this.#columns.id] !== null);
    const segments = [...this.#toSegments(numbers, own)];
    return {
      keys: this.#keysOf(toRange(rows[0])),
      loaded: new Map(segments.map(([number, segment]) => [this.#resource.segmentKey(number), segment])),
    };
  }

  async loadWhole(since?: Since): Promise<Loaded> {
    const { rows, position } = await this.#database.load(this.#statements.selectAll, [], since);
    const segments = this.#toSegments([], rows);
    const [first, ...others] = segments.keys();
    this.#keysOf(
      first === undefined
        ? undefined
        : others.reduce((range, number) => include(range, number), { first, last: first }),
    );
    const { value, etag } = joinSegments([...segments.values()]);
    return { value: toBuffer(value), meta: writeMeta({ etag }), ttlMs: this.#resource.ttl.list, position };
  }

  join(keys: readonly Key[], segments: readonly Segment[]): Loaded {
    const { value, etag } = joinSegments(segments);
    const range = { first: this.#numberIn(keys.at(0)), last: this.#numberIn(keys.at(-1)) };
    return { value, meta: writeMeta({ etag, segments: range }), ttlMs: this.#resource.ttl.list };
  }

  /** The segments of a range; `undefined` for so few that they are not worth it, and for so many that most will be empty. */
  #keysOf(range: SegmentRange | undefined): readonly Key[] | undefined {
    const count = range === undefined ? 0n : range.last - range.first + 1n;
    this.#isWhole = count < fewestSegments || count > mostSegments;
    if (this.#isWhole || range === undefined) return undefined;
    return Array.from({ length: Number(count) }, (_, index) => this.#resource.segmentKey(range.first + BigInt(index)));
  }

  #numberIn(key: Key | undefined): bigint {
    return BigInt(key?.slice(this.#resource.segmentPrefix.length) ?? 0);
  }

  /** One for each of `numbers`, also where there are no rows, and for each number among the rows. */
  #toSegments(numbers: readonly bigint[], rows: readonly Row[]): ReadonlyMap<bigint, Segment> {
    const sorted = new Map<bigint, Row[]>(numbers.map((number) => [number, []]));
    for (const row of rows) {
      const number = segmentNumberOf(String(row[this.#columns.id]));
      const found = sorted.get(number);
      if (found === undefined) sorted.set(number, [row]);
      else found.push(row);
    }
    return new Map([...sorted].map(([number, found]) => [number, this.#toSegment(found)]));
  }

  #toSegment(rows: readonly Row[]): Segment {
    return toSegment(rows, this.#columns, (row) => this.#resource.toJson(row));
  }
}

interface Wanted {
  readonly number: bigint;
  readonly since: Since | undefined;
  readonly resolve: (loaded: Loaded) => void;
  readonly reject: (error: unknown) => void;
}

/** Fewer rows than these are loaded in less time than it takes to ask for their segments. */
const fewestSegments = 5n;
/** Half a million ids. */
const mostSegments = 4_096n;
const segmentsAtOnce = 64;

/** Out of the least and the greatest id; nulls where there is no row. */
function toRange(row: Row | undefined): SegmentRange | undefined {
  const [least = null, greatest = null] = row ?? [];
  if (least === null || greatest === null) return undefined;
  return { first: segmentNumberOf(String(least)), last: segmentNumberOf(String(greatest)) };
}

function include({ first, last }: SegmentRange, number: bigint): SegmentRange {
  return { first: number < first ? number : first, last: number > last ? number : last };
}

/**
 * The first and the last id of each stretch of segments, in turn. Stretches are repeated until their number is a power of
 * two, so that there are few different statements.
 */
function toBounds(numbers: readonly bigint[]): string[] {
  const stretches: { first: bigint; last: bigint }[] = [];
  for (const number of numbers) {
    const stretch = stretches.at(-1);
    if (stretch !== undefined && stretch.last + 1n === number) stretch.last = number;
    else stretches.push({ first: number, last: number });
  }
  const bounds = stretches.flatMap(({ first, last }) => [
    String(first * segmentSize),
    String((last + 1n) * segmentSize - 1n),
  ]);
  const wanted = bounds.length === 0 ? 0 : 2 ** Math.ceil(Math.log2(bounds.length));
  while (bounds.length < wanted) bounds.push(...bounds.slice(-2));
  return bounds;
}
