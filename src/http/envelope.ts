import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Answer } from '../cache/read-through.ts';
import { chunksOf } from '../cache/rope.ts';

/**
 * The envelope of a read, `{ data, source, timestamp }`, put around the cached bytes without looking into them: they
 * are the JSON of `data`, and go out as they came in. The three parts are corked into one write instead of being copied
 * together, which at 40 KB already costs more than all the rest of an answer.
 */
const head = Buffer.from('{"data":');

export function sendEnvelope(reply: FastifyReply, answer: Answer, headers: OutgoingHttpHeaders): void {
  const source = answer.outcome.kind === 'hit' ? 'cache' : 'database';
  const tail = `,"source":"${source}","timestamp":"${new Date().toISOString()}"}`;
  const { raw } = reply;
  reply.server.sending.begin(raw, answer.value);
  reply.hijack();
  raw.cork();
  for (const [name, value] of Object.entries(reply.getHeaders())) raw.setHeader(name, value ?? '');
  raw.writeHead(200, {
    ...headers,
    'content-type': 'application/json; charset=utf-8',
    'content-length': head.length + answer.value.length + tail.length,
  });
  raw.write(head);
  for (const chunk of chunksOf(answer.value)) raw.write(chunk);
  raw.end(tail);
  raw.uncork();
}

/**
 * How the cache handled a request, as RFC 9211 writes it. `detail` tells why the cache was passed over.
 */
export function cacheStatus({ outcome, collapsed }: Answer): string {
  switch (outcome.kind) {
    case 'hit':
      return `EnergeX; hit; ttl=${Math.floor(outcome.ttlMs / 1000)}`;
    case 'loaded':
      if (collapsed) return 'EnergeX; fwd=uri-miss; collapsed';
      return outcome.stored ? 'EnergeX; fwd=uri-miss; stored' : 'EnergeX; fwd=uri-miss';
    case 'bypass':
      return `EnergeX; fwd=bypass${collapsed ? '; collapsed' : ''}; detail=${outcome.reason}`;
  }
}
