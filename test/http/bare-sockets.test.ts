import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { expect, test } from '@jest/globals';
import { dialHttp, exchange, parseReplies, type RawReply, untilClosed } from '../harness/raw-http.ts';
import { eventually } from '../harness/service.ts';
import { describeService, embeddedStage } from '../harness/stage.ts';

/** What is no request, or never becomes one: answered on the bare socket, and the connection is closed. */

const timeoutMs = 300;

function expectProblem(replies: readonly RawReply[], status: number, code: string, message: string): void {
  expect(replies).toHaveLength(1);
  const [reply] = replies;
  expect(reply?.status).toBe(status);
  expect(reply?.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect(reply?.headers.get('x-content-type-options')).toBe('nosniff');
  expect(reply?.headers.get('connection')).toBe('close');
  expect(JSON.parse(reply?.body ?? '')).toMatchObject({ status, code, message });
  expect(reply?.body).not.toMatch(/node_modules|at \w+|\.ts|HPE_/);
}

describeService(
  'bare sockets',
  { on: embeddedStage, environment: { REQUEST_TIMEOUT_MS: String(timeoutMs) } },
  (given) => {
    test.each([
      ['no HTTP', 'HELLO WORLD\r\n\r\n'],
      ['an unknown method', 'BREW /cache/posts HTTP/1.1\r\nHost: test\r\n\r\n'],
      ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
      ['a header without a name', 'GET / HTTP/1.1\r\nHost: test\r\n: x\r\n\r\n'],
      ['two lengths', 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
      [
        'a length and chunks',
        'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
    ])('%s is 400', async (_, text) => {
      expectProblem(await exchange(given.service.port, text), 400, 'BAD_REQUEST', 'The request is malformed');
    });

    test.each([
      ['one long header', `Cookie: ${'c'.repeat(20_000)}\r\n`],
      ['many headers', Array.from({ length: 2_000 }, (_, index) => `X-${index}: ${index}\r\n`).join('')],
    ])('%s are too much: 431', async (_, headers) => {
      const replies = await exchange(given.service.port, `GET /cache/posts HTTP/1.1\r\nHost: test\r\n${headers}\r\n`);
      expectProblem(replies, 431, 'HEADERS_TOO_LARGE', 'The request headers are too large');
    });

    test('a URL that is too long is 431', async () => {
      const replies = await exchange(
        given.service.port,
        `GET /cache/posts/${'9'.repeat(20_000)} HTTP/1.1\r\nHost: test\r\n\r\n`,
      );
      expectProblem(replies, 431, 'HEADERS_TOO_LARGE', 'The request headers are too large');
    });

    test.each([
      ['nothing after the first line', 'GET /cache/posts HTTP/1.1\r\n'],
      ['half of the headers', 'GET /cache/posts HTTP/1.1\r\nHost: test\r\nX-Slow:'],
      [
        'half of the body',
        'POST /cache/posts HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"title":',
      ],
      [
        'a chunk that does not end',
        'POST /cache/posts HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{',
      ],
    ])('%s in time is 408', async (_, text) => {
      const began = performance.now();
      const replies = await exchange(given.service.port, text);
      expect(performance.now() - began).toBeGreaterThanOrEqual(timeoutMs - 10);
      expectProblem(replies, 408, 'REQUEST_TIMEOUT', 'The request did not arrive in time');
      expect((await given.service.get('/cache/posts')).json.data).toEqual([]);
    });

    test('what is malformed is answered behind the requests that came before it', async () => {
      const ask = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
      const replies = await exchange(
        given.service.port,
        `${ask('/cache/posts/1')}${ask('/cache/posts/0')}BREW / HTTP/1.1\r\n\r\n`,
      );
      expect(replies.map(({ body }) => JSON.parse(body).code)).toEqual(['NOT_FOUND', 'INVALID_ID', 'BAD_REQUEST']);
    });

    test.each([
      ['no host', 'GET /cache/posts HTTP/1.1\r\n', 400],
      ['two hosts', 'GET /cache/posts HTTP/1.1\r\nHost: a\r\nHost: b\r\n', 400],
      ['HTTP/1.0, which has none', 'GET /cache/posts HTTP/1.0\r\n', 200],
    ])('%s', async (_, head, status) => {
      const [reply] = await exchange(given.service.port, `${head}Connection: close\r\n\r\n`);
      expect(reply?.status).toBe(status);
      if (status === 400) expect(JSON.parse(reply?.body ?? '').code).toBe('BAD_REQUEST');
    });

    test('another upgrade than that of live events is ignored, also behind another request', async () => {
      const upgrade = 'GET /cache/posts/0 HTTP/1.1\r\nHost: test\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n';
      const before = 'GET /cache/posts/0 HTTP/1.1\r\nHost: test\r\n\r\n';
      expect((await exchange(given.service.port, before + upgrade)).map(({ status }) => status)).toEqual([400, 400]);
    });

    test('an expectation that nobody knows is ignored', async () => {
      const [reply] = await exchange(
        given.service.port,
        'GET /cache/posts/0 HTTP/1.1\r\nHost: test\r\nExpect: 200-ok\r\nConnection: close\r\n\r\n',
      );
      expect([reply?.status, JSON.parse(reply?.body ?? '').code]).toEqual([400, 'INVALID_ID']);
    });

    test('who has never sent anything is let go without a word', async () => {
      const socket = await dialHttp(given.service.port);
      expect(await untilClosed(socket)).toBe('');
    });

    test('a byte now and then does not buy more time', async () => {
      const socket = await dialHttp(given.service.port);
      const answer = untilClosed(socket);
      socket.write('GET /cache/posts HTTP/1.1\r\n');
      const drip = setInterval(() => socket.write('X'), 20);
      const began = performance.now();
      const replies = parseReplies(await answer);
      clearInterval(drip);
      expectProblem(replies, 408, 'REQUEST_TIMEOUT', 'The request did not arrive in time');
      expect(performance.now() - began).toBeLessThan(5_000);
    });

    test('a client that resets in the middle of a request is let go without a word', async () => {
      const accepted: Socket[] = [];
      const note = (message: unknown): void => void accepted.push(Object(message).socket);
      subscribe('net.server.socket', note);
      try {
        const socket = await dialHttp(given.service.port);
        socket.write('GET /cache/posts HTTP/1.1\r\nHost: test\r\nX-Cut');
        let peer: Socket | undefined;
        await eventually(async () => {
          peer = accepted.find(({ remotePort }) => remotePort === socket.localPort);
          return peer !== undefined && peer.bytesRead > 0;
        });
        const closed = new Promise((resolve) => peer?.once('close', resolve));
        socket.resetAndDestroy();
        await closed;
        expect(peer?.bytesWritten).toBe(0);
      } finally {
        unsubscribe('net.server.socket', note);
      }
      expect((await given.service.get('/cache/posts')).status).toBe(200);
    });

    test('requests on one connection are answered in their order', async () => {
      const get = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: test\r\n${more}\r\n`;
      const replies = await exchange(
        given.service.port,
        get('/cache/posts') + get('/cache/posts/7') + get('/nowhere') + get('/cache/health', 'Connection: close\r\n'),
      );
      expect(replies.map(({ status }) => status)).toEqual([200, 404, 404, 200]);
    });
  },
);
