import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Rope, toBuffer } from '../../src/cache/rope.ts';
import type { Row } from '../../src/database/database.ts';
import { joinSegments, segmentNumberOf, segmentSize, toSegment } from '../../src/resources/list-segment.ts';

const columns = { id: 0, createdAt: 1 };
const toJson = (row: Row): string => JSON.stringify({ id: String(row[0]), at: row[1], text: row[2] });

function segmentsOf(rows: readonly Row[]) {
  const numbers = new Set(rows.map(([id]) => segmentNumberOf(String(id))));
  return [...numbers].map((number) =>
    toSegment(
      rows.filter(([id]) => segmentNumberOf(String(id)) === number),
      columns,
      toJson,
    ),
  );
}

/** As the database orders them: written another way than the code under test. */
function inOrder(rows: readonly Row[]): readonly Row[] {
  return rows.toSorted(
    ([oneId, oneAt = null], [otherId, otherAt = null]) =>
      Number(oneAt === null) - Number(otherAt === null) ||
      -String(oneAt).localeCompare(String(otherAt), 'en') ||
      (BigInt(oneId ?? 0) > BigInt(otherId ?? 0) ? -1 : 1),
  );
}

const parse = (value: Parameters<typeof toBuffer>[0]): unknown => JSON.parse(value.toString());
const expected = (rows: readonly Row[]): unknown => inOrder(rows).map((row) => JSON.parse(toJson(row)));

const time = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 0, max: 40 }).map((second) => `2025-01-01 00:00:${String(second).padStart(2, '0')}`),
);
const id = fc.oneof(fc.integer({ min: 1, max: 1_000 }).map(BigInt), fc.bigInt({ min: 2n ** 63n, max: 2n ** 64n - 1n }));
const row = fc.tuple(id.map(String), time, fc.string({ unit: 'grapheme' }));
const rows = fc.uniqueArray(row, { selector: ([each]) => each, maxLength: 60 });

describe('segments of a list', () => {
  test('joined they are all rows in the order of the list, whatever overlaps', () => {
    fc.assert(
      fc.property(rows, (some) => {
        expect(parse(joinSegments(segmentsOf(some)).value)).toEqual(expected(some));
      }),
    );
  });

  test('the entity tag is that of the rows: it does not depend on the order in which they come', () => {
    fc.assert(
      fc.property(rows, fc.nat(), (some, shift) => {
        const { etag } = joinSegments(segmentsOf(some));
        const at = shift % Math.max(1, some.length);
        expect(joinSegments(segmentsOf([...some.slice(at), ...some.slice(0, at)])).etag).toBe(etag);
        const [[first, at1] = [], ...others] = some;
        if (first === undefined) return;
        expect(joinSegments(segmentsOf([[first, at1 ?? null, 'changed by the test'], ...others])).etag).not.toBe(etag);
      }),
    );
  });

  test('no rows are an empty array', () => {
    expect(parse(joinSegments([]).value)).toEqual([]);
    expect(parse(joinSegments([toSegment([], columns, toJson)]).value)).toEqual([]);
  });

  test('large segments that follow each other are taken as they are, without a copy', () => {
    const many = Array.from(
      { length: 5 * Number(segmentSize) },
      (_, index): Row => [
        String(index + Number(segmentSize)),
        `2025-01-01 ${String(Math.floor(index / 60)).padStart(2, '0')}:${String(index % 60).padStart(2, '0')}:00`,
        'x'.repeat(3_000),
      ],
    );
    const segments = segmentsOf(many);
    const { value } = joinSegments(segments);
    expect(value).toBeInstanceOf(Rope);
    expect(parse(value)).toEqual(expected(many));
    const memory = new Set(segments.map((segment) => toBuffer(segment.value).buffer));
    const chunks = value instanceof Rope ? value.chunks : [];
    expect(chunks.filter(({ buffer }) => memory.has(buffer))).toHaveLength(5);
  });

  test('what is no segment is refused', () => {
    expect(() => joinSegments([{ value: Buffer.from('{}\n'), meta: '' }])).toThrow(TypeError);
  });
});
