import type { FastifyReply } from 'fastify';
import type { Answer } from '../cache/read-through.ts';
import { chunksOf } from '../cache/rope.ts';
import { CatalogueError } from '../errors.ts';
import { readMeta } from '../resources/meta.ts';

/**
 * The envelope of a read, `{ data, source, timestamp }`, put around the cached bytes without looking into them: they
 * are the JSON of `data`, and go out as they came in. The three parts are corked into one write instead of being copied
 * together, which at 40 KB already costs more than all the rest of an answer.
 */
export const envelopeHead = '{"data":';

/** `timestamp` has always 24 characters. */
export function envelopeTail(source: 'cache' | 'database', timestamp: string): string {
  return `,"source":"${source}","timestamp":"${timestamp}"}`;
}

/** Stands in a header for the seconds that an entry has left. */
export const ttlPlace = '\u0000';

const anyTimestamp = new Date(0).toISOString();

/** Where an answer came from, as far as its headers tell. */
type Read = Pick<Answer, 'value' | 'meta'> & { readonly outcome?: Answer['outcome']; readonly collapsed?: boolean };

/** What a page links to its next one by. */
export interface PageOf {
  readonly path: string;
  readonly limit: number;
}

/**
 * The headers of a read, names and values in turn, as they follow those of the hooks. Without an outcome it is a hit, with
 * `ttlPlace` where its seconds go.
 */
export function readHeaders(read: Read, page: PageOf | undefined, status: 200 | 304): string[] {
  const { etag, next } = readMeta(read.meta);
  const { outcome, collapsed = false, value } = read;
  const cache = outcome === undefined ? `${hitWithTtl}${ttlPlace}` : cacheStatus({ outcome, collapsed });
  // `no-cache` lets a browser keep the answer and makes it ask each time, which costs it a 304.
  const headers = ['etag', etag, 'cache-status', cache, 'cache-control', 'no-cache'];
  if (next !== undefined && page !== undefined) {
    headers.push('link', `<${page.path}?limit=${page.limit}&after=${next}>; rel="next"`);
  }
  if (status === 304) return headers;
  const length = envelopeHead.length + value.length + envelopeTail(sourceOf(outcome), anyTimestamp).length;
  headers.push('content-type', 'application/json; charset=utf-8', 'content-length', String(length));
  return headers;
}

function sourceOf(outcome: Answer['outcome'] | undefined): 'cache' | 'database' {
  return outcome === undefined || outcome.kind === 'hit' ? 'cache' : 'database';
}

/** Answers a read the whole way. `hookHeaders` are those that the reply has already. */
export function sendRead(
  reply: FastifyReply,
  answer: Answer,
  hookHeaders: readonly string[],
  options: { readonly page: PageOf | undefined; readonly status: 200 | 304 },
): void {
  const { raw } = reply;
  const headers = [...hookHeaders, ...readHeaders(answer, options.page, options.status)];
  if (options.status === 200 && !reply.server.sending.begin(raw, answer.value))
    throw new CatalogueError('OUTGOING_FULL');
  reply.hijack();
  raw.cork();
  raw.writeHead(options.status, headers);
  if (options.status === 200) {
    raw.write(envelopeHead);
    for (const chunk of chunksOf(answer.value)) raw.write(chunk);
    raw.write(envelopeTail(sourceOf(answer.outcome), new Date().toISOString()));
  }
  raw.end();
  raw.uncork();
}

/** The headers that hooks have set by now, names and values in turn. */
export function hookHeadersOf(reply: FastifyReply): string[] {
  return Object.entries(reply.getHeaders()).flatMap(([name, value]) => [name, String(value)]);
}

const hitWithTtl = 'EnergeX; hit; ttl=';

/**
 * How the cache handled a request, as RFC 9211 writes it. `detail` tells why the cache was passed over.
 */
export function cacheStatus({ outcome, collapsed }: Pick<Answer, 'outcome' | 'collapsed'>): string {
  switch (outcome.kind) {
    case 'hit':
      return `${hitWithTtl}${Math.floor(outcome.ttlMs / 1000)}`;
    case 'loaded':
      if (collapsed) return 'EnergeX; fwd=uri-miss; collapsed';
      return outcome.stored ? 'EnergeX; fwd=uri-miss; stored' : 'EnergeX; fwd=uri-miss';
    case 'bypass':
      return `EnergeX; fwd=bypass${collapsed ? '; collapsed' : ''}; detail=${outcome.reason}`;
  }
}
