import type { Precondition } from '../resources/writer.ts';

/**
 * Conditional requests (RFC 9110, section 13). The tags of this service are strong.
 */

/** `If-None-Match`, by weak comparison: a proxy that compresses may have made the tag weak on its way. */
export function matchesNone(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true;
  return header.trim() !== '*' && !listed(header).some((tag) => tag.replace(/^W\//, '') === etag);
}

/** `If-Match`, by strong comparison. Without the header everything matches, and `*` matches any row that is there. */
export function preconditionOf(header: string | undefined): Precondition {
  if (header === undefined || header.trim() === '*') return () => true;
  const tags = listed(header);
  return (etag) => tags.includes(etag);
}

/** Tags may hold commas, so they are found rather than split. */
function listed(header: string): string[] {
  return header.match(/(?:W\/)?"[^"]*"/g) ?? [];
}
