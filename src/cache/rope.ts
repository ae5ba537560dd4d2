/**
 * A value in pieces that belong to other values: a list is put together from segments without copying their bytes. (Boehm,
 * Atkinson, Plass, "Ropes: an Alternative to Strings", 1995; one level is enough here.)
 */
export class Rope {
  readonly chunks: readonly Buffer[];
  /** In bytes. */
  readonly length: number;
  /** What the pieces belong to: as long as the rope is in use, these are found again instead of being read anew. */
  readonly sources: readonly Buffer[];

  constructor(chunks: readonly Buffer[], sources: readonly Buffer[]) {
    this.chunks = chunks;
    this.length = chunks.reduce((sum, { length }) => sum + length, 0);
    this.sources = sources;
  }

  toString(): string {
    return toBuffer(this).toString();
  }
}

/** Never written to after it was handed over. */
export type Bytes = Buffer | Rope;

export function chunksOf(bytes: Bytes): readonly Buffer[] {
  return bytes instanceof Rope ? bytes.chunks : [bytes];
}

/** Not longer than `most` bytes each, unless a chunk is. */
export function* piecesOf(bytes: Bytes, most: number): Generator<Buffer> {
  let some: Buffer[] = [];
  let length = 0;
  for (const chunk of chunksOf(bytes)) {
    if (length > 0 && length + chunk.length > most) {
      yield Buffer.concat(some, length);
      some = [];
      length = 0;
    }
    some.push(chunk);
    length += chunk.length;
  }
  if (length > 0) yield Buffer.concat(some, length);
}

/** In one piece; copies a rope. */
export function toBuffer(bytes: Bytes): Buffer {
  return bytes instanceof Rope ? Buffer.concat(bytes.chunks, bytes.length) : bytes;
}
