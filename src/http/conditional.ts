import type { Precondition } from '../resources/writer.ts';
import { type Acceptance, type AnyCoding, codingOf } from './content-coding.ts';

/**
 * Conditional requests (RFC 9110, section 13). The tags of this service are strong. In each content coding a version has a tag
 * of its own.
 */

/**
 * `If-None-Match`, by weak comparison: a proxy that compresses may have made the tag weak on its way. The coding of what the
 * client has, if it is of this version; the 304 must name the tag of it, by which a cache finds what it has stored. A tag in a
 * coding that the request does not accept matches nothing: a shared cache may name what it holds for others.
 */
export function codingKnown(header: string | undefined, etag: string, acceptance: Acceptance): AnyCoding | undefined {
  if (header === undefined) return undefined;
  if (header === etag || header.trim() === '*') return 'identity';
  for (const tag of listed(header)) {
    const coding = codingOf(tag.replace(/^W\//, ''), etag);
    if (coding !== undefined && (coding === 'identity' || acceptance.accepts.has(coding))) return coding;
  }
  return undefined;
}

/** `If-Match`, by strong comparison. Without the header everything matches, and `*` matches any row that is there. */
export function preconditionOf(header: string | undefined): Precondition {
  if (header === undefined || header.trim() === '*') return () => true;
  const tags = listed(header);
  return (etag) => tags.some((tag) => codingOf(tag, etag) !== undefined);
}

/** Tags may hold commas, so they are found rather than split. */
function listed(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"/g) ?? [];
}
