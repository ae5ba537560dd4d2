import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CatalogueError } from '../../src/errors.ts';
import { type Cursor, cursorAfter, decodeCursor, encodeCursor, pageStart } from '../../src/resources/cursor.ts';

const encode = (text: string): string => Buffer.from(text).toString('base64url');

const ids = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }).map(String);
const times = fc
  .tuple(
    fc.date({ min: new Date('1000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
    fc.option(fc.integer({ min: 0, max: 999_999 })),
  )
  .map(
    ([date, micros]) =>
      `${date.toISOString().slice(0, 19).replace('T', ' ')}${micros === null ? '' : `.${String(micros).padStart(6, '0')}`}`,
  );
const cursors: fc.Arbitrary<Cursor> = fc.record({ createdAt: fc.option(times), id: ids });

/** What `decodeCursor` makes of any text: a cursor, or the error of the catalogue; anything else fails the test. */
function decoded(text: string): Cursor | 'refused' {
  try {
    return decodeCursor(text);
  } catch (error) {
    expect(error).toBeInstanceOf(CatalogueError);
    expect(error).toMatchObject({
      code: 'INVALID_PARAMETER',
      message: 'Invalid parameter: `after` is not a cursor of this list',
    });
    return 'refused';
  }
}

describe('the cursor of a page', () => {
  test('survives being written and read', () => {
    fc.assert(fc.property(cursors, (cursor) => expect(decodeCursor(encodeCursor(cursor))).toEqual(cursor)));
  });

  test('needs no escaping in a URL', () => {
    fc.assert(fc.property(cursors, (cursor) => expect(encodeCursor(cursor)).toMatch(/^[\w-]+$/)));
  });

  test('any text is refused, or is what would be written for what was read', () => {
    const near = fc
      .tuple(fc.string(), fc.constantFrom(',', '', ',,'), fc.oneof(ids, fc.string()))
      .map(([a, b, c]) => encode(a + b + c));
    const texts = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      near,
      cursors.map(encodeCursor),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const cursor = decoded(text);
        if (cursor !== 'refused') expect(encodeCursor(cursor)).toBe(text);
      }),
      { numRuns: 1_000 },
    );
  });

  test('one character more or less makes another cursor of it, or none', () => {
    fc.assert(
      fc.property(cursors, fc.nat(), fc.constantFrom('', 'A', '=', '!', ' '), (cursor, at, replacement) => {
        const text = encodeCursor(cursor);
        const place = at % text.length;
        const changed = text.slice(0, place) + replacement + text.slice(place + 1);
        const read = decoded(changed);
        if (changed !== text) expect(read).not.toEqual(cursor);
      }),
    );
  });

  test.each([
    '',
    ',',
    ',0',
    ',01',
    ',18446744073709551616',
    '2025-01-01 00:00:00',
    '2025-01-01 00:00:00,',
    '2025-01-01 00:00:00,1,1',
    '2025-13-01 00:00:00,1',
    '2025-02-29 00:00:00,1',
    '2025-01-01 24:00:00,1',
    '2025-01-01 00:00:60,1',
    '2025-01-01T00:00:00,1',
    '2025-01-01 00:00:00.,1',
    '2025-01-01 00:00:00.1234567,1',
    ' 2025-01-01 00:00:00,1',
    "' OR 1=1 --,1",
  ])('refuses "%s"', (text) => {
    expect(decoded(encode(text))).toBe('refused');
  });

  test('padding and the other alphabet of base64 are refused, though they decode to the same', () => {
    const text = encodeCursor({ createdAt: null, id: '77' });
    expect(decoded(text)).toEqual({ createdAt: null, id: '77' });
    expect(decoded(`${text}=`)).toBe('refused');
    expect(decoded(`${text}\n`)).toBe('refused');
  });

  test('is taken from the columns of a row, wherever they stand', () => {
    expect(cursorAfter([5n, '2025-01-01 00:00:00'], ['id', 'created_at'])).toEqual({
      createdAt: '2025-01-01 00:00:00',
      id: '5',
    });
    expect(cursorAfter([null, 'x', '18446744073709551615'], ['created_at', 'title', 'id'])).toEqual({
      createdAt: null,
      id: '18446744073709551615',
    });
    expect(cursorAfter(['7'], ['id'])).toEqual({ createdAt: null, id: '7' });
  });

  test('decides where a page starts', () => {
    expect(pageStart(undefined)).toEqual({ start: 'first', params: [] });
    expect(pageStart({ createdAt: null, id: '7' })).toEqual({ start: 'after-null', params: ['7'] });
    expect(pageStart({ createdAt: 't', id: '7' })).toEqual({ start: 'after-time', params: ['t', 't', '7'] });
  });
});
