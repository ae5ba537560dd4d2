import { once } from 'node:events';
import { createServer, ServerResponse } from 'node:http';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { systemClock } from '../../src/cache/clock.ts';
import { Compression } from '../../src/http/compression.ts';
import { Sending } from '../../src/http/sending.ts';
import { FastLane } from '../../src/http/fast-lane.ts';
import { Gate } from '../../src/http/gate.ts';
import { LearnedHeaders } from '../../src/http/learned-headers.ts';
import { PreparedAnswer } from '../../src/http/prepared-answer.ts';
import { published } from '../harness/engine.ts';
import { askRaw, dialHttp, exchange, parseReplies, timeless, untilClosed } from '../harness/raw-http.ts';
import { eventually, type Service } from '../harness/service.ts';
import { describeService, embeddedStage, insertPost } from '../harness/stage.ts';

/**
 * Both lanes give the same bytes. A request takes the whole way when it says that it has a body of no bytes; fastify does not
 * look at it, and nothing else differs.
 */
const origin = 'http://localhost:5173';
const lanes = [jest.spyOn(PreparedAnswer.prototype, 'send'), jest.spyOn(PreparedAnswer.prototype, 'sendNotModified')];

afterEach(() => lanes.forEach((each) => each.mockClear()));

/** How many answers the lane has given. */
function taken(): number {
  return lanes.reduce((sum, { mock }) => sum + mock.calls.length, 0);
}

async function ask(service: Service, request: string, headers: readonly string[]): Promise<string> {
  return timeless(await askRaw(service.port, request, headers));
}

const paths = ['/cache/posts/1', '/cache/posts/2', '/cache/posts', '/cache/posts?limit=2', '/cache/posts?limit=100'];

const environment = { LOG_REQUESTS: 'false', REALTIME_API_SECRET: 's' };

describeService('the fast lane', { environment }, (given) => {
  async function fillTable(): Promise<void> {
    await insertPost(given.database, { id: 1, title: 'Grüße, 世界 🎉', created_at: '2025-01-01 00:00:00' });
    await insertPost(given.database, { id: 2, content: 'x'.repeat(60_000), created_at: '2025-01-02 00:00:00' });
    await insertPost(given.database, { id: 3, created_at: '2025-01-03 00:00:00' });
  }

  /** Until the lane knows what hooks say to each origin, and the process holds what is asked for. */
  async function warm(path: string): Promise<string> {
    await given.service.get(path);
    await given.service.get(path);
    const reply = await given.service.get(path, { origin });
    return reply.headers.get('etag') ?? '';
  }

  test.each(paths)('%s: the same bytes as the whole way, for each origin and each condition', async (path) => {
    await fillTable();
    const etag = await warm(path);
    for (const from of [[], [`Origin: ${origin}`], ['oRIGIN: http://localhost:5173']]) {
      for (const condition of ['', etag, `W/${etag}`, '*', '"other"', `"a", ${etag}`]) {
        const headers = [...from, ...(condition === '' ? [] : [`If-None-Match: ${condition}`])];
        const before = taken();
        const fast = await ask(given.service, `GET ${path}`, [...headers, 'Connection: keep-alive']);
        expect([path, headers, taken() - before]).toEqual([path, headers, 1]);
        const slow = await ask(given.service, `GET ${path}`, [...headers, 'Content-Length: 0']);
        expect(taken() - before).toBe(1);
        expect(fast).toBe(slow);
        expect(fast).toMatch(/cache-status: EnergeX; hit; ttl=TTL\r\n/);
      }
    }
  });

  describe('what was loaded for the request', () => {
    const wholeWay = jest.spyOn(ServerResponse.prototype, 'writeHead');

    /** The answer after all of it was taken away, and whether it came by the lane. */
    async function miss(path: string, headers: readonly string[]): Promise<{ answer: string; isFast: boolean }> {
      for (const id of [1, 2, 99]) {
        const told = { event: 'post_updated', data: { id } };
        const { status } = await given.service.request('POST', '/internal/broadcast', told, {
          'x-internal-secret': 's',
        });
        expect(status).toBe(200);
      }
      wholeWay.mockClear();
      const answer = (await ask(given.service, `GET ${path}`, headers)).replace(/"requestId":"[^"]+"/, '');
      return { answer, isFast: wholeWay.mock.calls.length === 0 };
    }

    test.each<[path: string, headers: readonly string[], status: number, isFast: boolean]>([
      ['/cache/posts/1', [], 200, true],
      ['/cache/posts/1', [`Origin: ${origin}`], 200, true],
      ['/cache/posts?limit=1', [], 200, true],
      ['/cache/posts/1', ['If-None-Match: "other"'], 200, false],
      ['/cache/posts/1', ['If-None-Match: *'], 304, false],
      ['/cache/posts/2', [], 200, false],
      ['/cache/posts', [], 200, false],
      ['/cache/posts/99', [], 404, false],
      ['/cache/posts?limit=1&after=none', [], 400, false],
    ])('%s %j: the same bytes as the whole way', async (path, headers, status, isFast) => {
      await fillTable();
      await warm('/cache/posts/1');
      const fast = await miss(path, headers);
      expect(fast).toMatchObject({ answer: expect.stringContaining(`HTTP/1.1 ${status} `), isFast });
      const slow = await miss(path, [...headers, 'Content-Length: 0']);
      expect(slow).toEqual({ answer: fast.answer, isFast: false });
      if (isFast) expect(fast.answer).toMatch(/fwd=uri-miss; stored.*"source":"database"/s);
    });

    test.each(['/cache/posts/99', '/cache/posts/2'])('%s is read once, though the routes answer it', async (path) => {
      await fillTable();
      await warm('/cache/posts/1');
      const events = await published(async () => {
        await miss(path, []);
      });
      expect(events.filter(({ type }) => type === 'miss')).toHaveLength(1);
    });
  });

  test('a page behind a cursor links to the next as the whole way does', async () => {
    await fillTable();
    const first = await given.service.get('/cache/posts?limit=1');
    const next = /<(.+)>/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    await warm(next);
    const fast = await ask(given.service, `GET ${next}`, []);
    expect(taken()).toBeGreaterThan(0);
    expect(fast).toContain('rel="next"');
    expect(fast).toBe(await ask(given.service, `GET ${next}`, ['Content-Length: 0']));
  });

  test.each([
    ['another method', 'HEAD /cache/posts/1', []],
    ['a preflight', 'OPTIONS /cache/posts/1', [`Origin: ${origin}`, 'Access-Control-Request-Method: PUT']],
    ['another origin', 'GET /cache/posts/1', ['Origin: http://elsewhere.example']],
    ['two origins', 'GET /cache/posts/1', [`Origin: ${origin}`, `Origin: ${origin}`]],
    ['two conditions', 'GET /cache/posts/1', ['If-None-Match: "a"', 'If-None-Match: "b"']],
    ['a body', 'GET /cache/posts/1', ['Content-Length: 0']],
    ['a connection that ends', 'GET /cache/posts/1', ['Connection: close']],
    ['another parameter', 'GET /cache/posts?limit=2&colour=red', []],
    ['a limit of none', 'GET /cache/posts?limit=0', []],
    ['too great a limit', 'GET /cache/posts?limit=101', []],
    ['a slash at the end', 'GET /cache/posts/1/', []],
    ['an encoded id', 'GET /cache/posts/%31', []],
    ['an id with a sign', 'GET /cache/posts/-1', []],
    ['an id that begins with 0', 'GET /cache/posts/01', []],
    ['an id of 16 digits', 'GET /cache/posts/1000000000000000', []],
    ['no id', 'GET /cache/posts/', []],
    ['a longer name', 'GET /cache/postscript', []],
    ['a page of a longer name', 'GET /cache/postscript?limit=2', []],
    ['a page of a row', 'GET /cache/posts/1?limit=2', []],
    ['a question mark in a parameter', 'GET /cache/posts?colour=red?limit=2', []],
    ['another path', 'GET /cache/health', []],
    ['a row that is not there', 'GET /cache/posts/99', []],
  ])('%s goes the whole way', async (_, request, headers) => {
    await fillTable();
    await given.service.get('/cache/posts/99');
    for (const path of paths) await warm(path);
    lanes.forEach((each) => each.mockClear());
    expect(await ask(given.service, request, headers)).toMatch(/^HTTP\/1\.1 [2-4]/);
    expect(taken()).toBe(0);
  });

  test('an origin that was not answered before goes the whole way once', async () => {
    await fillTable();
    await given.service.get('/cache/posts/1');
    await ask(given.service, 'GET /cache/posts/1', [`Origin: ${origin}`]);
    expect(taken()).toBe(0);
    const answer = await ask(given.service, 'GET /cache/posts/1', [`Origin: ${origin}`]);
    expect(taken()).toBe(1);
    expect(answer).toContain(`access-control-allow-origin: ${origin}\r\n`);
  });

  test('a change is seen by the next read', async () => {
    await fillTable();
    for (const title of ['first', 'second', 'third']) {
      await warm('/cache/posts/1');
      await given.service.request('PUT', '/cache/posts/1', { title });
      expect(await ask(given.service, 'GET /cache/posts/1', [])).toContain(`"title":"${title}"`);
    }
  });

  test('requests one behind the other on a connection are answered in order, whichever lane they take', async () => {
    await fillTable();
    for (const path of paths) await warm(path);
    const requests = ['/cache/posts/1', '/cache/health', '/cache/posts?limit=2', '/cache/posts/99', '/cache/posts/3'];
    const text = requests.map((path) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`).join('');
    const replies = await exchange(
      given.service.port,
      `${text}GET /cache/posts/1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`,
    );
    const said = replies.map(({ status, body }) => [status, /"id":(\d+)|"services"/.exec(body)?.[0]]);
    expect(said).toEqual([
      [200, '"id":1'],
      [200, '"services"'],
      [200, '"id":3'],
      [404, undefined],
      [200, '"id":3'],
      [200, '"id":1'],
    ]);
    expect(taken()).toBeGreaterThan(0);
  });

  test.each([
    ['a small row', '/cache/posts/1', false],
    ['a row of 60 KB', '/cache/posts/2', false],
    ['a list', '/cache/posts', false],
    ['a condition', '/cache/posts/2', true],
  ])('answers that share a hit are the same bytes: %s', async (_, path, isConditional) => {
    await fillTable();
    const etag = await warm(path);
    const headers = isConditional ? [`If-None-Match: ${etag}`] : [];
    const single = await ask(given.service, `GET ${path}`, [...headers, 'Content-Length: 0']);
    const socket = await dialHttp(given.service.port);
    const said = untilClosed(socket);
    const request = [`GET ${path} HTTP/1.1`, 'Host: test', ...headers].join('\r\n');
    lanes.forEach((each) => each.mockClear());
    socket.write(`${request}\r\n\r\n`.repeat(4));
    await eventually(async () => taken() === 4);
    socket.write('GET /nowhere HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n');
    const answers = (await said).split(/(?=HTTP\/1\.1 \d{3})/).slice(0, -1);
    expect(answers.map(timeless)).toEqual(Array.from({ length: 4 }, () => single));
  });

  test('what is on its way together shares a hit, which is told once', async () => {
    await fillTable();
    await warm('/cache/posts/1');
    const request = 'GET /cache/posts/1 HTTP/1.1\r\nHost: test\r\n';
    const socket = await dialHttp(given.service.port);
    const said = untilClosed(socket);
    lanes.forEach((each) => each.mockClear());
    const events = await published(async () => {
      socket.write(`${request}\r\n`.repeat(5));
      await eventually(async () => taken() === 5);
    });
    socket.write(`${request}Connection: close\r\n\r\n`);
    expect((await said).match(/HTTP\/1\.1 200 OK\r\n/g)).toHaveLength(6);
    expect(events).toEqual([{ type: 'hit', key: 'post:1', tier: 'memory', negative: false, requests: 5 }]);
  });

  test('a client that is gone before its answer harms nobody', async () => {
    await fillTable();
    await warm('/cache/posts/1');
    for (let count = 0; count < 20; count += 1) {
      const socket = await dialHttp(given.service.port);
      socket.write('GET /cache/posts/1 HTTP/1.1\r\nHost: test\r\n\r\n', () => socket.destroy());
      await once(socket, 'close');
    }
    expect(await ask(given.service, 'GET /cache/posts/1', [])).toMatch(/^HTTP\/1\.1 200/);
  });
});

describeService(
  'time-outs behind the lane',
  { on: embeddedStage, environment: { REQUEST_TIMEOUT_MS: '300' } },
  (given) => {
    test('a request that does not arrive in time is 408 also on a connection that the lane has answered', async () => {
      await insertPost(given.database, { id: 1 });
      for (let count = 0; count < 3; count += 1) await given.service.get('/cache/posts/1');
      lanes.forEach((each) => each.mockClear());
      const socket = await dialHttp(given.service.port);
      const said = untilClosed(socket);
      socket.write('GET /cache/posts/1 HTTP/1.1\r\nHost: test\r\n\r\n');
      await eventually(async () => taken() === 1);
      socket.write('GET /cache/posts/1 HTTP/1.1\r\nHost:');
      expect(parseReplies(await said).map(({ status }) => status)).toEqual([200, 408]);
    });
  },
);

describeService('the closed lane', { on: embeddedStage, environment: { LOG_REQUESTS: 'true' } }, (given) => {
  test('nothing takes it while requests are logged', async () => {
    await insertPost(given.database, { id: 1 });
    for (let count = 0; count < 4; count += 1) await given.service.get('/cache/posts/1');
    expect(taken()).toBe(0);
  });
});

test('once it is closed all goes the whole way, also what was on its way to an answer', async () => {
  const headers = new LearnedHeaders([]);
  const durationOf = () => ({ observe: () => undefined });
  const lane = new FastLane({
    isOpen: true,
    headers,
    gate: new Gate({ shedding: undefined, headers, durationOf }),
    sending: new Sending({ mostBytes: 1, stallMs: 1 }),
    durationOf,
    compression: new Compression({ codings: [], leastBytes: 1, clock: systemClock, keepBeside: () => false }),
  });
  const server = createServer((_request, response) => response.end('whole way'));
  let hit = (): void => undefined;
  const resource = { path: '/things' } as Parameters<FastLane['serve']>[0];
  const reader = {
    readFastList: (asker: { hit(held: unknown, ttlMs: number): void }) => {
      hit = () => asker.hit({}, 1);
      return true;
    },
  } as unknown as Parameters<FastLane['serve']>[1];
  lane.serve(resource, reader);
  lane.attach(server);
  headers.learn(undefined, []);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const socket = await dialHttp(typeof address === 'object' ? (address?.port ?? 0) : 0);
  const said = untilClosed(socket);
  const came = once(server, 'request');
  socket.write('GET /things HTTP/1.1\r\nHost: test\r\n\r\n');
  await came;
  lane.close();
  hit();
  socket.end('GET /things HTTP/1.1\r\nHost: test\r\n\r\n');
  expect((await said).match(/whole way/g)).toHaveLength(2);
  expect(taken()).toBe(0);
  server.close();
});
