import type { Answer } from '../cache/answer.ts';
import type { FastReader } from '../cache/held-reads.ts';
import type { ResourceReader } from '../resources/reader.ts';

/** What the fast lane understands of requests: the plainest reads, and nothing else. */

/** The paths of a resource, and who reads it. */
export interface Readable {
  readonly path: string;
  readonly itemPrefix: string;
  readonly reader: ResourceReader;
}

/**
 * Nothing but the plainest form of each URL: the rest is fastify's to understand, `undefined`. `false`: the short way to a hit
 * leads nowhere.
 */
export function ask({ path, itemPrefix, reader }: Readable, url: string, asker: FastReader): boolean | undefined {
  if (url.length === path.length) return reader.readFastList(asker);
  if (url.startsWith(itemPrefix)) {
    const id = url.slice(itemPrefix.length);
    return isPlainId(id) ? reader.readFastItem(id, asker) : undefined;
  }
  const [, limit, after] = (url.charCodeAt(path.length) === questionMark ? pageQuery.exec(url) : null) ?? [];
  return limit === undefined ? undefined : reader.readFastPage(Number(limit), after, asker);
}

/** The whole way through the cache for what `ask` has understood. */
export function read({ path, itemPrefix, reader }: Readable, url: string): Promise<Answer> {
  if (url.length === path.length) return reader.readAll();
  if (url.startsWith(itemPrefix)) return reader.readItem(url.slice(itemPrefix.length));
  const [, limit, after] = pageQuery.exec(url) ?? [];
  return reader.readPage(Number(limit), after);
}

const questionMark = 63;
/** Of a page that is asked for in the plainest form. */
export const pageQuery = /^[^?]*\?limit=([1-9]\d?|100)(?:&after=([\w-]+))?$/;

/** Up to 15 digits, so that nobody need look at how large it is. */
function isPlainId(text: string): boolean {
  if (text.length === 0 || text.length > 15 || text.charCodeAt(0) === zero) return false;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) return false;
  }
  return true;
}

const zero = 48;

export interface WhatCounts {
  origin: string | undefined;
  acceptEncoding: string | undefined;
  ifNoneMatch: string | undefined;
}

/**
 * The headers that an answer depends on, out of names and values in turn; `undefined` when one says that there is a body,
 * that the connection is to end or change, or is there twice, or when there is no host.
 */
export function whatCounts(headers: readonly string[]): WhatCounts | undefined {
  let origin: string | undefined;
  let acceptEncoding: string | undefined;
  let ifNoneMatch: string | undefined;
  let hosts = 0;
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? '';
    // Most names are told by their length.
    if (!lengthsThatCount.has(name.length)) continue;
    switch (name.toLowerCase()) {
      case 'host':
        hosts += 1;
        break;
      case 'origin':
        if (origin !== undefined) return undefined;
        origin = headers[at + 1];
        break;
      case 'accept-encoding':
        if (acceptEncoding !== undefined) return undefined;
        acceptEncoding = headers[at + 1];
        break;
      case 'if-none-match':
        if (ifNoneMatch !== undefined) return undefined;
        ifNoneMatch = headers[at + 1];
        break;
      case 'connection':
        if (headers[at + 1]?.toLowerCase() !== 'keep-alive') return undefined;
        break;
      case 'content-length':
      case 'transfer-encoding':
      case 'upgrade':
      case 'expect':
        return undefined;
      default:
    }
  }
  return hosts === 1 ? { origin, acceptEncoding, ifNoneMatch } : undefined;
}

const lengthsThatCount = new Set(
  [
    'host',
    'origin',
    'accept-encoding',
    'if-none-match',
    'connection',
    'content-length',
    'transfer-encoding',
    'upgrade',
    'expect',
  ].map(({ length }) => length),
);
