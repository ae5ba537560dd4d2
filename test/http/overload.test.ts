import { afterEach, describe, expect, test } from '@jest/globals';
import { askRaw, timeless } from '../harness/raw-http.ts';
import { parseScrape } from '../harness/scrape.ts';
import { eventually, type Reply, type Service } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';

const origin = 'http://localhost:5173';

async function shedBy(service: Service, reason: string): Promise<number> {
  const { text } = await service.get('/metrics');
  return parseScrape(text).value('energex_http_requests_shed_total', { reason }) ?? Number.NaN;
}

/** Until this process answers it from its memory. */
async function warm(service: Service, path: string): Promise<void> {
  await eventually(async () => (await service.get(path, { origin })).json.source === 'cache');
  await service.get(path);
}

/** Whoever runs the service, and whoever tells it of changes, is let in whatever there is to do. */
async function expectTheRestToWork(service: Service): Promise<void> {
  for (const path of ['/livez', '/metrics', '/openapi.json']) expect((await service.get(path)).status).toBe(200);
  const told = { event: 'post_updated', data: { id: 5_000 } };
  const told200 = await service.request('POST', '/internal/broadcast', told, { 'x-internal-secret': 's' });
  expect(told200.status).toBe(200);
  expect((await service.request('OPTIONS', '/cache/posts')).status).toBe(204);
}

function expectRefusal({ status, headers, json }: Reply, code: string): void {
  expect([status, json.code, json.status, headers.get('retry-after')]).toEqual([503, code, 503, '1']);
  expect(headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  expect([headers.get('cache-control'), headers.get('x-content-type-options')]).toEqual(['no-store', 'nosniff']);
  // A browser may read why.
  expect(headers.get('access-control-allow-origin')).toBe(origin);
}

/** The first answer 503; `ask` is given another number each time. Who is let in may have to wait, and is not waited for. */
async function untilRefused(ask: (count: number) => Promise<Reply>): Promise<Reply> {
  let refused: Reply | undefined;
  let asked = 0;
  await eventually(async () => {
    waiting.push(
      ask((asked += 1)).then((answer) => {
        if (answer.status === 503) refused ??= answer;
      }),
    );
    return refused !== undefined;
  }, 20_000);
  if (refused === undefined) throw new Error('nothing was refused');
  return refused;
}

/** Nobody is left without an answer. */
const waiting: Promise<unknown>[] = [];

afterEach(async () => void (await Promise.all(waiting.splice(0))));

/** Each turn of the event loop takes long, and in each so many ask for something that they are taken for the reason. */
function keepBusy(ms: number, ask: () => Promise<unknown>): { stop(): void } {
  let timer: NodeJS.Timeout;
  let pending = 0;
  const askOnce = async (): Promise<void> => {
    pending += 1;
    await ask();
    pending -= 1;
  };
  const turn = (): void => {
    for (let count = pending; count < mostPending; count += 1) waiting.push(askOnce());
    const until = performance.now() + ms;
    while (performance.now() < until);
    timer = setTimeout(turn, 0);
  };
  timer = setTimeout(turn, 0);
  return { stop: () => clearTimeout(timer) };
}

const mostPending = 60;

const environment = { REALTIME_API_SECRET: 's', FRONTEND_URL: origin };

describeService(
  'a late event loop',
  { environment: { ...environment, SHED_DELAY_MS: '10', LOG_REQUESTS: 'false' } },
  (given) => {
    test('what costs much is refused, what is in memory is answered', async () => {
      await insertPost(given.database, { id: 1 });
      await insertPost(given.database, { id: 2 });
      await warm(given.service, '/cache/posts/1');
      let unknown = 1_000;
      const busy = keepBusy(30, () => given.service.get(`/cache/posts/${(unknown += 1)}`));
      try {
        const missed = await untilRefused((count) => given.service.get(`/cache/posts/${100_000 + count}`, { origin }));
        expectRefusal(missed, 'OVERLOADED');
        expect(missed.headers.get('cache-status')).toBe('EnergeX; fwd=bypass; detail=OVERLOADED');
        const body = { title: 'changed' };
        const written = await untilRefused(() => given.service.request('PUT', '/cache/posts/2', body, { origin }));
        expectRefusal(written, 'OVERLOADED');
        expect(written.headers.get('cache-status')).toBeNull();
        const listed = await untilRefused(() =>
          given.service.request('HEAD', '/cache/posts?x=1', undefined, { origin }),
        );
        expect([listed.status, listed.text]).toEqual([503, '']);
        for (let count = 0; count < 5; count += 1) {
          expect((await given.service.get('/cache/posts/1')).json.source).toBe('cache');
        }
        await expectTheRestToWork(given.service);
        expect(await shedBy(given.service, 'event-loop')).toBeGreaterThan(2);
      } finally {
        busy.stop();
      }
      await eventually(async () => (await given.service.get('/cache/posts/3')).status === 404);
      const put = () => given.service.request('PUT', '/cache/posts/2', { title: 'changed again' });
      await eventually(async () => (await put()).status === 200);
    });
  },
);

describe.each([
  { lane: 'open', LOG_REQUESTS: 'false' },
  { lane: 'closed', LOG_REQUESTS: 'true' },
])('with the fast lane $lane', ({ LOG_REQUESTS }) => {
  const settings = { ...environment, LOG_REQUESTS, SHED_QUEUE_MS: '50', DB_POOL_SIZE: '2' };

  describeService('a queue at the database', { on: serverStages, environment: settings }, (given) => {
    /** Writers of post 1 wait for its lock, with all connections, until they are let go. */
    async function whileHeld(use: () => Promise<void>): Promise<readonly Reply[]> {
      const held = Promise.withResolvers<void>();
      const letGo = Promise.withResolvers<void>();
      const holding = given.database.transaction(async (transaction) => {
        await transaction.query('SELECT id FROM posts WHERE id = 1 FOR UPDATE');
        held.resolve();
        await letGo.promise;
      });
      await held.promise;
      const put = (count: number) => given.service.request('PUT', '/cache/posts/1', { title: `title ${count}` });
      const writers = Promise.all([put(1), put(2), put(3)]);
      try {
        await use();
      } finally {
        letGo.resolve();
        await holding;
      }
      return await writers;
    }

    test('what needs a connection is refused, what is cached is answered', async () => {
      await insertPost(given.database, { id: 1 });
      await insertPost(given.database, { id: 2 });
      await warm(given.service, '/cache/posts/2');
      const created = { title: 't', content: 'c', user_id: 1 };
      const writers = await whileHeld(async () => {
        const missed = await untilRefused((count) => given.service.get(`/cache/posts/${1_000 + count}`, { origin }));
        expectRefusal(missed, 'DATABASE_BUSY');
        expect(missed.headers.get('cache-status')).toBe('EnergeX; fwd=bypass; detail=DATABASE_BUSY');
        const written = await given.service.request('POST', '/cache/posts', created, { origin });
        expectRefusal(written, 'DATABASE_BUSY');
        for (let count = 0; count < 5; count += 1) {
          expect((await given.service.get('/cache/posts/2')).json.source).toBe('cache');
        }
        await expectTheRestToWork(given.service);
        expect(await shedBy(given.service, 'database')).toBeGreaterThanOrEqual(2);
      });
      // Who waited for the lock for too long was refused as well, and nobody was left without an answer.
      expect(writers.map(({ status }) => status === 200 || status === 503)).toEqual([true, true, true]);
      await eventually(async () => (await given.service.get('/cache/posts/2999')).status === 404);
      expect((await given.service.request('POST', '/cache/posts', created)).status).toBe(201);
    });

    test('the gate refuses with the headers of the whole way', async () => {
      await insertPost(given.database, { id: 1 });
      await insertPost(given.database, { id: 2 });
      await warm(given.service, '/cache/posts/2');
      await whileHeld(async () => {
        await untilRefused((count) => given.service.get(`/cache/posts/${1_000 + count}`));
        // With an empty body it goes the whole way, which knows only at the database that there is too much to do.
        expect(await refusal(['Content-Length: 0'])).toEqual(await refusal([]));
      });

      async function refusal(headers: readonly string[]): Promise<readonly string[]> {
        const answer = await askRaw(given.service.port, 'GET /cache/posts/3000', [`Origin: ${origin}`, ...headers]);
        expect(answer).toMatch(/^HTTP\/1\.1 503 /);
        const told = timeless(answer)
          .replace(/,"requestId":"[^"]+"/, '')
          .replace(/content-length: \d+/i, '');
        return told.toLowerCase().split('\r\n').toSorted();
      }
    });
  });
});
