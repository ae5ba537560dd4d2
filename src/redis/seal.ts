import { crc32 } from 'node:zlib';
import type { Entry } from '../cache/store.ts';
import type { Reply } from './link.ts';
import type { Place } from './place.ts';
import { asBuffer, asNumber, asText } from './replies.ts';

/**
 * Tells what was stored from what a broken disk, a careless script or another program has left in its place: checksums (CRC-32,
 * RFC 1952 section 8) over the place and the version, so that whole entries of other keys are told as well. Whoever means harm
 * can compute them too; that is what the rights on Redis are for.
 */

/** What tells places apart. */
export type Sealable = Pick<Place, 'guard' | 'suffix'>;

/** Of the bytes of a version. */
export function sumOf(place: Sealable, version: string, value: Buffer): string {
  return hex(crc32(value, startOf(place, version)));
}

/** The same, piece by piece. */
export class RunningSum {
  #sum: number;

  constructor(place: Sealable, version: string) {
    this.#sum = startOf(place, version);
  }

  add(piece: Buffer): void {
    this.#sum = crc32(piece, this.#sum);
  }

  toString(): string {
    return hex(this.#sum);
  }
}

/** What stands beside the bytes, as it is kept in the guard. */
export function sealed(place: Sealable, version: string, { meta, loadMs }: Pick<Entry, 'meta' | 'loadMs'>): string {
  return sealOf(place, version, meta, String(loadMs)) + meta;
}

/** As they come from Redis; `version` is one that is trusted. */
export interface Stored {
  readonly version: string;
  readonly meta: Reply | undefined;
  readonly loadMs: Reply | undefined;
  readonly ttl: Reply | undefined;
}

/** Of the text in a guard, whether or not it is what was stored. */
export function metaIn(text: string): string {
  return text.slice(sumLength);
}

export function unsealed(place: Sealable, stored: Stored): Omit<Entry, 'value'> | 'damaged' {
  const { version } = stored;
  const [text, loadMs] = [textOf(stored.meta), textOf(stored.loadMs)];
  const meta = metaIn(text);
  // It becomes headers. Whoever can compute the checksum shall not break those either.
  if (!/^[\x20-\x7e]*$/.test(meta)) return 'damaged';
  if (text.slice(0, sumLength) !== sealOf(place, version, meta, loadMs)) return 'damaged';
  return { version, meta, loadMs: Number(loadMs), ttlMs: asNumber(stored.ttl) };
}

export function intact(
  place: Sealable,
  stored: Stored & { readonly sum: Reply | undefined; readonly value: Reply | undefined },
): Entry | 'damaged' {
  const beside = unsealed(place, stored);
  const value = asBuffer(stored.value);
  return beside === 'damaged' || textOf(stored.sum) !== sumOf(place, stored.version, value)
    ? 'damaged'
    : { ...beside, value };
}

/** A field that is gone is damage too. */
function textOf(reply: Reply | undefined): string {
  return reply === null ? '' : asText(reply);
}

function sealOf(place: Sealable, version: string, meta: string, loadMs: string): string {
  return hex(crc32(`${loadMs} ${meta}`, startOf(place, version)));
}

function startOf({ guard, suffix }: Sealable, version: string): number {
  return crc32(`${guard}${suffix} ${version} `);
}

function hex(sum: number): string {
  return sum.toString(16).padStart(sumLength, '0');
}

const sumLength = 8;
