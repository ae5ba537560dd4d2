import { type Bytes, piecesOf } from '../cache/rope.ts';
import type { Command } from './link.ts';
import { type Place, preparedAt } from './place.ts';
import * as scripts from './scripts.ts';
import { RunningSum } from './seal.ts';
import type { Steps } from './servers.ts';

/**
 * Stores the bytes of a version that was filled without, bit by bit, so that other commands get their turn between the bits of a
 * large value. `id` is never used twice. Whether the version is still the current one.
 */
export async function attachAt(server: Steps, place: Place, { version, value, id }: Attachment): Promise<boolean> {
  const bytes = preparedAt(place, id);
  const send = (...commands: readonly Command[]): Promise<void> =>
    server.withValues(async ({ link, deadlineMs }) => void (await link.send(deadlineMs, commands)));
  // All the space at once. Should the key get lost on the way, it is without a time to live from then on.
  await send(['SETRANGE', bytes, value.length - 1, ' '], ['PEXPIRE', bytes, preparationMs]);
  const sum = new RunningSum(place, version);
  let offset = 0;
  for (const piece of piecesOf(value, pieceBytes)) {
    sum.add(piece);
    await send(['SETRANGE', bytes, offset, piece]);
    offset += piece.length;
  }
  return await server.withValues((call) => scripts.attach(call, { place, version, bytes, sum: sum.toString() }));
}

interface Attachment {
  readonly version: string;
  readonly value: Bytes;
  readonly id: string;
}

/** Longer than it takes to write all the bytes of a value. */
const preparationMs = 60_000;
const pieceBytes = 1024 * 1024;
