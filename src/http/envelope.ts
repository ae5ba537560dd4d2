import type { FastifyReply } from 'fastify';
import type { Answer } from '../cache/answer.ts';
import { chunksOf } from '../cache/rope.ts';
import { CatalogueError } from '../errors.ts';
import { readMeta } from '../resources/meta.ts';
import { type CodedValue, codedLength, codedTail } from './coded-value.ts';
import { type AnyCoding, tagIn } from './content-coding.ts';

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

/** What is sent of a version: its value, as it is or coded, or that the client has it in such a coding. */
export type Sent =
  | { readonly status: 200; readonly coded: CodedValue | undefined }
  | { readonly status: 304; readonly coding: AnyCoding };

/**
 * The headers of a read, names and values in turn, as they follow those of the hooks. Without an outcome it is a hit, with
 * `ttlPlace` where its seconds go.
 */
export function readHeaders(read: Read, page: PageOf | undefined, sent: Sent): string[] {
  const { etag, next } = readMeta(read.meta);
  const { outcome, collapsed = false, value } = read;
  const cache = outcome === undefined ? `${hitWithTtl}${ttlPlace}` : cacheStatus({ outcome, collapsed });
  // `no-cache` lets a browser keep the answer and makes it ask each time, which costs it a 304.
  const coding = sent.status === 304 ? sent.coding : (sent.coded?.coding ?? 'identity');
  const headers = ['etag', tagIn(coding, etag), 'cache-status', cache, 'cache-control', 'no-cache'];
  if (next !== undefined && page !== undefined) {
    headers.push('link', `<${page.path}?limit=${page.limit}&after=${next}>; rel="next"`);
  }
  if (sent.status === 304) return headers;
  headers.push('content-type', 'application/json; charset=utf-8');
  if (sent.coded !== undefined) headers.push('content-encoding', sent.coded.coding);
  const tail = envelopeTail(sourceOf(outcome), anyTimestamp).length;
  const plain = envelopeHead.length + value.length + tail;
  headers.push('content-length', String(sent.coded === undefined ? plain : codedLength(sent.coded, tail)));
  return headers;
}

/**
 * The headers that hooks have set, for an answer that depends on `Accept-Encoding`. In one line: some caches look at the last
 * `Vary` only.
 */
export function withVary(hookHeaders: readonly string[]): string[] {
  const at = hookHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'vary');
  if (at === -1) return [...hookHeaders, 'vary', 'Accept-Encoding'];
  return hookHeaders.with(at + 1, `${hookHeaders[at + 1]}, Accept-Encoding`);
}

function sourceOf(outcome: Answer['outcome'] | undefined): 'cache' | 'database' {
  return outcome === undefined || outcome.kind === 'hit' ? 'cache' : 'database';
}

/** Answers a read the whole way. `hookHeaders` are those that the reply has already. */
export function sendRead(
  reply: FastifyReply,
  answer: Answer,
  hookHeaders: readonly string[],
  { page, sent }: { readonly page: PageOf | undefined; readonly sent: Sent },
): void {
  const { raw } = reply;
  const isVarying = reply.server.compression.varies(answer.value.length);
  const headers = [...(isVarying ? withVary(hookHeaders) : hookHeaders), ...readHeaders(answer, page, sent)];
  const value = (sent.status === 200 ? sent.coded?.bytes : undefined) ?? answer.value;
  if (sent.status === 200 && !reply.server.sending.begin(raw, value)) throw new CatalogueError('OUTGOING_FULL');
  reply.hijack();
  raw.cork();
  raw.writeHead(sent.status, headers);
  if (sent.status === 200) {
    const { coded } = sent;
    const tail = envelopeTail(sourceOf(answer.outcome), new Date().toISOString());
    if (coded === undefined) raw.write(envelopeHead);
    for (const chunk of chunksOf(value)) raw.write(chunk);
    raw.write(coded === undefined ? tail : codedTail(coded, tail), 'latin1');
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
