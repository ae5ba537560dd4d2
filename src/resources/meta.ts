import { hash } from 'node:crypto';

/** What stands beside the cached value of a read. */
export interface Meta {
  /** The strong entity tag of the JSON of `data` (RFC 9110, section 8.8.3), with its quotes. */
  readonly etag: string;
  /** The cursor of the page behind this one. */
  readonly next?: string | undefined;
  /** The numbers of the first and the last segment that a list was put together from. */
  readonly segments?: SegmentRange | undefined;
}

export interface SegmentRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** Without quotes it is base64url, as cursors are: no blank, no hyphen alone. */
export function writeMeta({ etag, next, segments }: Meta): string {
  if (segments !== undefined) return `${etag} ${none} ${segments.first}:${segments.last}`;
  return next === undefined ? etag : `${etag} ${next}`;
}

export function readMeta(meta: string): Meta {
  const [etag = '', next, segments] = meta.split(' ');
  if (segments === undefined) return { etag, next };
  const [first = '', last = ''] = segments.split(':');
  return { etag, segments: { first: BigInt(first), last: BigInt(last) } };
}

const none = '-';

/** The entity tag of what has these bytes. */
export function entityTag(bytes: Buffer | string): string {
  return `"${hash('sha256', bytes, 'base64url').slice(0, 22)}"`;
}
