import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, crc32, createBrotliCompress, createDeflateRaw } from 'node:zlib';
import { type Bytes, piecesOf, Rope } from '../cache/rope.ts';
import type { ContentCoding } from '../option-kinds.ts';

/**
 * A body in a content coding, of which only the end differs from answer to answer: its beginning is compressed once, up to the
 * boundary of a byte, and each answer puts its own end behind it, uncompressed.
 *
 * - **gzip** (RFC 1952): the compressed part ends as `Z_SYNC_FLUSH` does, with an empty stored block. The end is a stored
 *   block (RFC 1951, section 3.2.4), the last one; then come the CRC-32, continued over the end, and the length.
 * - **br** (RFC 7932): the compressed part ends as `BROTLI_OPERATION_FLUSH` does. The end is an uncompressed meta-block and the
 *   empty last one (section 9.2).
 *
 * Any decoder reads both: they are ordinary streams.
 */
export interface CodedValue {
  readonly coding: ContentCoding;
  /** All but the end. */
  readonly bytes: Bytes;
  /** Of what `bytes` decode to; 0 in `br`, which has no checksum. */
  readonly crc: number;
  /** Of what `bytes` decode to, in bytes. */
  readonly plainLength: number;
}

/**
 * Compresses `head` and `value` in the thread pool of Node, a piece at a time. Rejects when more than `mostBytes` come of it,
 * and when `signal` aborts.
 */
export async function encodeValue(
  coding: ContentCoding,
  head: string,
  value: Bytes,
  options: { readonly mostBytes: number; readonly signal: AbortSignal },
): Promise<CodedValue> {
  const plainLength = head.length + value.length;
  const stream = coding === 'br' ? brotli(plainLength) : createDeflateRaw(deflateOptions);
  const parts: Buffer[] = coding === 'br' ? [] : [gzipHeader];
  let length = 0;
  let crc = 0;
  const check = (piece: Buffer): Buffer => {
    if (coding === 'gzip') crc = crc32(piece, crc);
    return piece;
  };
  const collect = async (compressed: AsyncIterable<Buffer>): Promise<void> => {
    for await (const part of compressed) {
      length += part.length;
      if (length > options.mostBytes) throw new RangeError('it does not become small enough');
      parts.push(part);
    }
  };
  const pieces = Readable.from(checked(head, value, check), { highWaterMark: 1 });
  await pipeline(pieces, stream, collect, { signal: options.signal });
  return { coding, bytes: joined(parts), crc, plainLength };
}

function* checked(head: string, value: Bytes, check: (piece: Buffer) => Buffer): Generator<Buffer> {
  yield check(Buffer.from(head, 'latin1'));
  for (const buffer of value instanceof Rope ? piecesOf(value, pieceBytes) : [value]) {
    for (let at = 0; at < buffer.length; at += pieceBytes) yield check(buffer.subarray(at, at + pieceBytes));
  }
}

/** As much as the checksum of one takes is done in the event loop at once: 50 microseconds. */
const pieceBytes = 256 * 1024;
/** What zlib writes into at a time. */
const chunkSize = 64 * 1024;

/** Above it the bytes become fewer by little and the time longer by much: see `docs/performance.md`. */
const deflateOptions = { level: 1, finishFlush: constants.Z_SYNC_FLUSH, chunkSize };
const brotliQuality = 3;

function brotli(plainLength: number) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: brotliQuality,
    [constants.BROTLI_PARAM_SIZE_HINT]: plainLength,
  };
  return createBrotliCompress({ finishFlush: constants.BROTLI_OPERATION_FLUSH, params, chunkSize });
}

/** Deflate, no name, no time, the fastest algorithm, Unix: RFC 1952, section 2.3. */
const gzipHeader = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3]);

/**
 * Something small in memory of its own, as what is kept for long must not hold on to a pool. To copy something large would
 * keep the event loop.
 */
function joined(parts: readonly Buffer[]): Bytes {
  const rope = new Rope(parts, parts);
  if (rope.length > mostJoinedBytes) return rope;
  const whole = Buffer.allocUnsafeSlow(rope.length);
  let at = 0;
  for (const part of parts) at += part.copy(whole, at);
  return whole;
}

const mostJoinedBytes = 1024 * 1024;

/** What comes behind `bytes` for an answer that ends with `tail`, which is ASCII; one byte a character. */
export function codedTail({ coding, crc, plainLength }: CodedValue, tail: string): string {
  const { length } = tail;
  if (coding === 'br') return `${littleEndian(uncompressed | ((length - 1) << 3), 3)}${tail}${lastMetaBlock}`;
  const sizes = littleEndian(length, 2) + littleEndian(~length & 0xff_ff, 2);
  const check = littleEndian(crc32(tail, crc), 4) + littleEndian((plainLength + length) % 2 ** 32, 4);
  return `${lastStored}${sizes}${tail}${check}`;
}

/** In bytes, with an end of `tailLength` characters. */
export function codedLength({ coding, bytes }: CodedValue, tailLength: number): number {
  return bytes.length + tailLength + (coding === 'br' ? 4 : 13);
}

/** Not the last (1 bit), four nibbles of length (2 bits), the length less one (16 bits), uncompressed (1 bit). */
const uncompressed = 1 << 19;
/** The last one, and empty. */
const lastMetaBlock = '\u0003';
/** Last block, stored. */
const lastStored = '\u0001';

function littleEndian(value: number, bytes: number): string {
  let text = '';
  for (let rest = value, at = 0; at < bytes; at += 1, rest >>>= 8) text += String.fromCharCode(rest & 0xff);
  return text;
}
