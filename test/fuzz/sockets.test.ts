import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Service } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';
import { campaign, campaignTimeoutMs } from './campaign.ts';
import { say, type Sending, splitReplies } from './wire.ts';

/**
 * Bytes on a connection: pipelined, torn anywhere, half-closed, and shapes by which one server smuggles past another. Two
 * services hear the same, one with the fast lane and one without, and must say the same. Nothing is written, so what they say
 * depends on the bytes alone.
 */
const paths = [
  '/cache/posts/1',
  '/cache/posts/2',
  '/cache/posts',
  '/cache/posts?limit=2',
  '/cache/posts/404',
  '/cache/posts/x',
];
const tag = '"another"';

/** A request by itself, with its method. */
interface Piece {
  readonly method: string;
  readonly text: string;
}

const plain: fc.Arbitrary<Piece> = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD', 'PATCH', 'BREW'),
    path: fc.constantFrom(...paths),
    version: fc.constantFrom('1.1', '1.1', '1.1', '1.1', '1.1', '1.1', '1.0'),
    headers: fc.array(
      fc.constantFrom(
        ...[
          'Origin: http://localhost:5173',
          `If-None-Match: ${tag}`,
          'If-None-Match: *',
          'Connection: keep-alive',
          'Accept-Encoding: br',
        ],
        ...[
          'Content-Length: 0',
          'X-A: b',
          'Accept: */*',
          'connection: Keep-Alive',
          'Expect: 100-continue',
          'Cookie: a=b',
        ],
      ),
      { maxLength: 3 },
    ),
  })
  .map(({ method, path, version, headers }) => ({
    method,
    text: `${method} ${path} HTTP/${version}\r\nHost: h\r\n${headers.map((line) => `${line}\r\n`).join('')}\r\n`,
  }));

const inner = 'GET /cache/posts/1 HTTP/1.1\r\nHost: smuggled\r\n\r\n';

/** Shapes that servers have understood in more than one way, and plain nonsense. */
const odd: fc.Arbitrary<Piece> = fc
  .constantFrom(
    `POST /cache/posts HTTP/1.1\r\nHost: h\r\nContent-Length: ${inner.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n${inner}`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nxy\r\n0\r\nTrailer: x\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\n X-Folded: x\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\nHost: h\n\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\rX: y\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nX: a\u0000b\r\n\r\n`,
    `GET http://other.example/cache/posts/1 HTTP/1.1\r\nHost: h\r\n\r\n`,
    `GET //cache/posts/1 HTTP/1.1\r\nHost: h\r\n\r\n`,
    `GET /cache/posts/1\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n\r\n`,
    `GET /cache/posts/1 HTTP/2.0\r\nHost: h\r\n\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    `GET /cache/posts/1 HTTP/1.1\r\nHost: h\r\nX-Long: ${'x'.repeat(17_000)}\r\n\r\n`,
    `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n`,
    '\r\n\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000',
  )
  .map((text) => ({ method: text.slice(0, text.indexOf(' ')), text }));

/** Cut anywhere, in up to four parts. */
const conversations: fc.Arbitrary<{ readonly methods: readonly string[]; readonly sending: Sending }> = fc
  .record({
    pieces: fc.array(fc.oneof({ weight: 4, arbitrary: plain }, { weight: 1, arbitrary: odd }), {
      minLength: 1,
      maxLength: 6,
    }),
    cuts: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
    end: fc.constantFrom<Sending['end']>('keep', 'keep', 'keep', 'half-close', 'reset'),
    broken: fc.boolean(),
  })
  .map(({ pieces, cuts, end, broken }) => {
    const whole = Buffer.from(pieces.map(({ text }) => text).join(''), 'latin1');
    const bytes = broken ? whole.subarray(0, -1) : whole;
    const at = [0, ...cuts.map((share) => Math.floor(share * bytes.length)).toSorted((a, b) => a - b), bytes.length];
    const parts = at.slice(1).map((to, index) => bytes.subarray(at[index] ?? 0, to));
    return {
      // Empty lines before a request are none (RFC 9112, section 2.2).
      methods: pieces.map(({ method }) => method).filter((method) => method.trim() !== ''),
      sending: { parts: parts.filter(({ length }) => length > 0), end },
    };
  });

/** Status, headers and body of each answer, without what is another one each time. */
async function replies(
  service: Service,
  sending: Sending,
): Promise<{ readonly said: string; readonly closed: boolean }> {
  const { text, closed } = await say(service.port, sending, quietMs);
  const said = text
    .replaceAll(/"timestamp":"[^"]+"/g, '"timestamp":"TIME"')
    .replaceAll(/^date: .+$/gim, 'date: DATE')
    // What is cached may expire meanwhile.
    .replaceAll(/^cache-status: .+$/gim, 'cache-status: CACHE')
    .replaceAll(/,"requestId":"[^"]+"/g, '')
    .replaceAll(/content-length: \d+/gi, '');
  return { said, closed };
}

/**
 * A request whose rest is no HTTP is refused, unless it was answered by then: which of the two depends on who was faster. So
 * where they end in different ways, what came before.
 */
function beforeRefusal(one: string, other: string): string[] {
  const isRefused = (said: string): boolean =>
    /\r\nConnection: close\r\n\r\n\{[^\r]*"code":"BAD_REQUEST"[^\r]*$/.test(said);
  if (isRefused(one) === isRefused(other)) return [one, other];
  return [one, other].map((said) => said.slice(0, said.lastIndexOf('HTTP/1.1 ')));
}

/** All that is answered comes at once; what is not answered yet is waited for in vain. */
const quietMs = 40;

const environment = { REQUEST_TIMEOUT_MS: '60000' };

describeService('whatever comes over a connection', { on: serverStages.slice(0, 1), environment }, (given) => {
  test(
    'is understood in the same way with the fast lane and without, and answered in its order',
    async () => {
      const whole = await given.stage.beside({ environment: { ...environment, LOG_REQUESTS: 'true' } });
      for (const id of [1, 2]) await insertPost(given.database, { id });
      // Until both hold everything, and the lane knows what hooks say.
      const services = [given.service, whole];
      for (const path of paths)
        for (const service of services) for (let time = 0; time < 3; time += 1) await service.get(path);
      for (const service of services) await service.get('/cache/posts/1', { origin: 'http://localhost:5173' });
      await campaign('connections', conversations, async ({ methods, sending }) => {
        const [fast, slow] = await Promise.all(services.map((service) => replies(service, sending)));
        // What comes back before a reset depends on who was faster.
        if (sending.end === 'reset') return;
        if (fast === undefined || slow === undefined) throw new Error('there are two');
        expect(fast.closed).toBe(slow.closed);
        // A server that closes before it has read all resets the connection, by which the end of what it said may be lost.
        const [shorter, longer] = beforeRefusal(fast.said, slow.said).toSorted((a, b) => a.length - b.length);
        expect(fast.closed ? longer?.slice(0, shorter?.length) : longer).toBe(shorter);
        const said = (await say(given.service.port, sending, quietMs)).text;
        if (sending.end !== 'keep') return;
        for (const { status, head } of splitReplies(said, methods)) {
          expect([head, status < 500]).toEqual([head, true]);
        }
      });
      for (const service of services) expect((await service.get('/cache/posts/1')).status).toBe(200);
    },
    campaignTimeoutMs,
  );
});
