import { randomBytes } from 'node:crypto';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Bytes, Rope, toBuffer } from '../../src/cache/rope.ts';
import { type CodedValue, codedLength, codedTail, encodeValue } from '../../src/http/coded-value.ts';
import { contentCodings } from '../../src/option-kinds.ts';

const head = '{"data":';
const decode = { br: brotliDecompressSync, gzip: gunzipSync };
const never = new AbortController().signal;

function encoded(coding: 'br' | 'gzip', value: Bytes): Promise<CodedValue> {
  return encodeValue(coding, head, value, { mostBytes: Number.POSITIVE_INFINITY, signal: never });
}

function whole(coded: CodedValue, tail: string): Buffer {
  return Buffer.concat([toBuffer(coded.bytes), Buffer.from(codedTail(coded, tail), 'latin1')]);
}

/** From bytes that repeat, as JSON does, to bytes that cannot be compressed. */
const piece = fc
  .record({ unit: fc.uint8Array({ minLength: 1, maxLength: 2_000 }), times: fc.integer({ min: 1, max: 60 }) })
  .map(({ unit, times }) => Buffer.concat(Array.from({ length: times }, () => unit)));
const value: fc.Arbitrary<Bytes> = fc.oneof(
  piece,
  fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => new Rope(pieces, pieces)),
);
/** ASCII. */
const tail = fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 200 });

describe.each(contentCodings)('a body in %s whose end is put behind it', (coding) => {
  test('decodes to what was sent, with any end, and is as long as was told', async () => {
    await fc.assert(
      fc.asyncProperty(value, fc.array(tail, { minLength: 1, maxLength: 3 }), async (body, tails) => {
        const coded = await encoded(coding, body);
        for (const end of tails) {
          const bytes = whole(coded, end);
          expect(bytes).toHaveLength(codedLength(coded, end.length));
          expect(
            decode[coding](bytes).equals(Buffer.concat([Buffer.from(head), toBuffer(body), Buffer.from(end)])),
          ).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  // Around the pieces in which it is compressed, and the windows of the codings.
  test.each([0, 1, 32_768, 65_535, 262_135, 262_136, 262_144, 262_145, 1_048_576, 5_000_000])(
    'of %i bytes',
    async (length) => {
      const body = Buffer.from('{"id":1,"title":"Grüße"}, '.repeat(length / 20 + 1)).subarray(0, length);
      const bytes = whole(await encoded(coding, body), 'end');
      expect(decode[coding](bytes).equals(Buffer.concat([Buffer.from(head), body, Buffer.from('end')]))).toBe(true);
    },
  );

  test('of which much is left', async () => {
    const body = Buffer.from(randomBytes(3_000_000).toString('base64'));
    const coded = await encoded(coding, body);
    expect(coded.bytes.length).toBeGreaterThan(2_000_000);
    expect(decode[coding](whole(coded, '!')).equals(Buffer.concat([Buffer.from(head), body, Buffer.from('!')]))).toBe(
      true,
    );
  });

  test('more bytes than asked for are refused', async () => {
    const noise = Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * at * 2_654_435_761) >>> 24));
    const limits = { mostBytes: 1_000, signal: never };
    await expect(encodeValue(coding, head, noise, limits)).rejects.toThrow('small enough');
  });

  test('it ends when it is told to', async () => {
    const ending = new AbortController();
    const body = Buffer.alloc(20_000_000, 'x');
    const encoding = encodeValue(coding, head, body, { mostBytes: body.length, signal: ending.signal });
    ending.abort();
    await expect(encoding).rejects.toThrow('abort');
  });
});

test('a checksum of more than 2^31 and a length beyond 2^32 fit', () => {
  const coded: CodedValue = { coding: 'gzip', bytes: Buffer.alloc(0), crc: 0xff_ff_ff_ff, plainLength: 2 ** 32 };
  const end = Buffer.from(codedTail(coded, 'abc'), 'latin1');
  expect(end.readUInt32LE(end.length - 4)).toBe(3);
  expect(end.subarray(0, 8)).toEqual(Buffer.from([1, 3, 0, 0xfc, 0xff, 97, 98, 99]));
});
