import type { Segment } from '../cache/composition.ts';
import { type Bytes, Rope, toBuffer } from '../cache/rope.ts';
import type { Row } from '../database/database.ts';
import { entityTag } from './meta.ts';

/**
 * A segment of a list: the rows whose ids divided by `segmentSize` give the same number, newest first. Its value is a line
 * of JSON, `[[created_at, id, bytes], ...]`, and behind it the JSON of each row, followed by a comma: so the bytes of rows
 * that stand together in the list are taken from it as they are.
 */
export const segmentSize = 128n;

/** Where the columns of a row stand that order the list. */
export interface OrderColumns {
  readonly createdAt: number;
  readonly id: number;
}

export function segmentNumberOf(id: string): bigint {
  return BigInt(id) / segmentSize;
}

/** `rows` in any order; `toJson` writes one of them. */
export function toSegment(
  rows: readonly Row[],
  { createdAt, id }: OrderColumns,
  toJson: (row: Row) => string,
): Segment {
  const placed = rows.map((row) => {
    const time = row[createdAt] ?? null;
    return { time: time === null ? null : String(time), id: String(row[id]), json: `${toJson(row)},` };
  });
  placed.sort(newestFirst);
  const index = placed.map(({ time, id: digits, json }) => [time, digits, Buffer.byteLength(json)]);
  const value = Buffer.from(`${JSON.stringify(index)}\n${placed.map(({ json }) => json).join('')}`);
  return { value, meta: entityTag(value) };
}

/** The JSON array of all rows, newest first, and the entity tag of the whole: the same rows always give the same. */
export function joinSegments(segments: readonly Segment[]): { value: Bytes; etag: string } {
  const spans = segments.map(toSpan).filter((span) => span !== undefined);
  spans.sort((one, other) => newestFirst(one.newest, other.newest));
  const runs = spans.length === 0 ? [] : inOrder(spans);
  const etag = entityTag(runs.map(({ tag, from, to }) => `${tag} ${from} ${to}`).join());
  const chunks = runs.map(({ bytes, from, to }) => bytes.subarray(from, to));
  const last = chunks.at(-1);
  // Without the comma.
  if (last !== undefined) chunks[chunks.length - 1] = last.subarray(0, -1);
  const rope = new Rope(
    [open, ...chunks, close],
    spans.map(({ bytes }) => bytes),
  );
  // What is small, or comes in many small pieces, costs more to send than to copy once.
  const copies = rope.length < leastRopeBytes || rope.length < rope.chunks.length * leastChunkBytes;
  return { value: copies ? toBuffer(rope) : rope, etag };
}

const open = Buffer.from('[');
const close = Buffer.from(']');
const leastRopeBytes = 1024 * 1024;
const leastChunkBytes = 16 * 1024;

interface Position {
  readonly time: string | null;
  /** Decimal digits. */
  readonly id: string;
}

/** As `ORDER BY created_at DESC, id DESC`: times as text, a null last. */
function newestFirst(one: Position, other: Position): number {
  if (one.time !== other.time) {
    if (one.time === null) return 1;
    return other.time === null || one.time > other.time ? -1 : 1;
  }
  if (one.id.length !== other.id.length) return other.id.length - one.id.length;
  return one.id > other.id ? -1 : 1;
}

/** What has to be known of a segment that has rows, in order to place it among others. */
interface Span {
  readonly tag: string;
  readonly bytes: Buffer;
  readonly newest: Position;
  readonly oldest: Position;
  /** Where the rows begin. */
  readonly start: number;
}

interface Run {
  readonly tag: string;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Of values that were looked at before; it goes with the value. */
const spansOf = new WeakMap<Buffer, Span | 'empty'>();

function toSpan({ value, meta: tag }: Segment): Span | undefined {
  const bytes = toBuffer(value);
  const known = spansOf.get(bytes);
  if (known !== undefined) return known === 'empty' ? undefined : known;
  const { rows, start } = readIndex(bytes);
  const newest = rows.at(0);
  const oldest = rows.at(-1);
  const span = newest === undefined || oldest === undefined ? undefined : { tag, bytes, newest, oldest, start };
  spansOf.set(bytes, span ?? 'empty');
  return span;
}

function readIndex(bytes: Buffer): { rows: readonly (Position & { readonly length: number })[]; start: number } {
  const end = bytes.indexOf('\n');
  const index: unknown = JSON.parse(bytes.toString('utf8', 0, end));
  if (!Array.isArray(index)) throw new TypeError('a segment of a list begins with its index');
  const rows = index.map((entry: unknown) => {
    const [time, id, length] = Array.isArray(entry) ? entry : [];
    return { time: time === null ? null : String(time), id: String(id), length: Number(length) };
  });
  return { rows, start: end + 1 };
}

/** Ids and times nearly always grow together, so that segments follow each other; where they overlap rows are merged. */
function inOrder(spans: readonly Span[]): readonly Run[] {
  const runs: Run[] = [];
  let group: Span[] = [];
  let oldest: Position | undefined;
  const flush = (): void => {
    runs.push(...(group.length === 1 ? group.map(whole) : merged(group)));
    group = [];
    oldest = undefined;
  };
  for (const span of spans) {
    if (oldest !== undefined && newestFirst(oldest, span.newest) < 0) flush();
    group.push(span);
    if (oldest === undefined || newestFirst(oldest, span.oldest) < 0) ({ oldest } = span);
  }
  flush();
  return runs;
}

function whole({ tag, bytes, start }: Span): Run {
  return { tag, bytes, from: start, to: bytes.length };
}

function merged(spans: readonly Span[]): Run[] {
  const rows = spans.flatMap(({ tag, bytes }) => {
    const { rows: placed, start } = readIndex(bytes);
    let from = start;
    return placed.map((row) => {
      const to = from + row.length;
      const found = { tag, bytes, from, to, time: row.time, id: row.id };
      from = to;
      return found;
    });
  });
  rows.sort(newestFirst);
  const runs: Run[] = [];
  for (const { tag, bytes, from, to } of rows) {
    const last = runs.at(-1);
    if (last?.bytes === bytes && last.to === from) runs[runs.length - 1] = { ...last, to };
    else runs.push({ tag, bytes, from, to });
  }
  return runs;
}
