import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { judge } from '../../src/commands/key-verdict.ts';
import type { Inspection } from '../../src/redis/inspection.ts';
import { type KeyMeaning, meaningOfKey } from '../../src/resources/key-meaning.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { runVerb } from '../harness/service-process.ts';
import { type Backend, backends, eventually, type Service, startService } from '../harness/service.ts';

/** The verb `inspect`: on real servers, and what it makes of what it sees. */

type Document = {
  key?: string;
  state: string;
  reasons: string[];
  isTrusted?: boolean | null;
  ageMs?: [number, number];
  segments?: { count: number; there: number };
  found?: { bytes: number | null; fences: unknown[] };
  url?: { ignored: string[]; refusal?: { code: string } };
};

const onServers = backends.filter(({ name }) => name !== 'embedded');

describe.each(onServers.slice(0, 1))('on $name', ({ start }) => {
  let backend: Backend;
  let service: Service;

  beforeAll(async () => {
    backend = await start();
    const { environment } = backend;
    expect((await runVerb(['seed', '--posts', '800', '--users', '3'], { environment })).code).toBe(0);
    service = await startService(environment);
    // Its Redis is in use by then.
    await eventually(async () => (await service.get('/cache/posts/800')).json.source === 'cache');
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await backend.stop();
  });

  async function inspect(key: string): Promise<{ code: number | null; document: Document }> {
    const { code, lines } = await runVerb(['inspect', key, '--json'], { environment: backend.environment });
    return { code, document: JSON.parse(lines.join('\n')) };
  }

  test('an instance can be asked instead of Redis, and sees the same', async () => {
    await service.get('/cache/posts/9');
    const { environment } = backend;
    const { code, lines } = await runVerb(['inspect', 'post:9', '--json', '--url', service.url], { environment });
    const { document } = await inspect('post:9');
    expect([code, JSON.parse(lines.join('\n'))]).toMatchObject([
      0,
      { state: document.state, instance: service.url, found: { bytes: document.found?.bytes } },
    ]);
    expect(document.state).toBe('cached');
  });

  test('a row that nobody has read, then one that is cached, then one that was changed', async () => {
    expect((await inspect('post:5')).document).toMatchObject({ state: 'absent', found: { bytes: null } });
    const bytes = Buffer.byteLength(JSON.stringify((await service.get('/cache/posts/5')).json.data));
    const { document } = await inspect('/cache/posts/5?utm=1');
    expect(document).toMatchObject({
      key: 'post:5',
      state: 'cached',
      isTrusted: true,
      found: { bytes },
      url: { ignored: ['utm'] },
    });
    expect(document.ageMs?.[0]).toBe(0);
    await service.request('PUT', '/cache/posts/5', { title: 'Another' });
    expect((await inspect('post:5')).document).toMatchObject({ state: 'absent', found: { bytes: null, fences: [] } });
  });

  test('a row that does not exist', async () => {
    expect((await service.get('/cache/posts/99999')).status).toBe(404);
    const { document } = await inspect('/cache/posts/99999');
    expect(document).toMatchObject({ state: 'cached', found: { bytes: 4 } });
    expect(document.reasons).toContain('it says that there is no such row: readers get 404');
  });

  test('the list with its segments, and a page', async () => {
    await service.get('/cache/posts');
    await service.get('/cache/posts?limit=7');
    const { document } = await inspect('http://localhost:4000/cache/posts');
    expect(['composed', 'cached']).toContain(document.state);
    expect(document.segments).toMatchObject({ count: 7, there: 7 });
    expect((await inspect('/cache/posts?limit=7')).document).toMatchObject({
      key: 'posts:all#limit=7',
      state: 'cached',
    });
    expect((await inspect('posts:rows:2')).document).toMatchObject({ state: 'cached' });
  });

  test('for people', async () => {
    await service.get('/cache/posts/6');
    const { code, lines } = await runVerb(['inspect', '/cache/posts/6'], { environment: backend.environment });
    expect([code, ...lines.slice(0, 3)]).toEqual([0, 'GET /cache/posts/6', 'post:6: a row of posts', 'state: cached']);
    expect(lines.join('\n')).toMatch(/\n {2}size {5}\d+ bytes, \d+ in Redis with its guard\n/);
  });

  test('a URL that reads nothing, and a key that is none', async () => {
    const refused = await inspect('/cache/posts?limit=1000');
    expect(refused).toMatchObject({
      code: 0,
      document: { state: 'refused', url: { refusal: { code: 'INVALID_PARAMETER' } } },
    });
    const none = await runVerb(['inspect', 'comment:1'], { environment: backend.environment });
    expect(none.code).toBe(2);
    expect(none.errors).toMatch(/^"comment:1" is no key of a resource; keys are like post:1, posts:all, /);
  });

  test('a Redis that cannot be reached, and a database that cannot', async () => {
    const environment = backend.environment;
    const away = await runVerb(['inspect', 'post:1', '--json'], {
      environment: { ...environment, REDIS_URL: 'redis://127.0.0.1:1' },
    });
    expect(away.code).toBe(1);
    expect(JSON.parse(away.lines.join())).toMatchObject({
      state: 'unreachable',
      reasons: [expect.stringContaining('ECONNREFUSED')],
    });
    await service.get('/cache/posts/7');
    const unsure = await runVerb(['inspect', 'post:7', '--json'], { environment: { ...environment, DB_PORT: '1' } });
    expect(JSON.parse(unsure.lines.join())).toMatchObject({ state: 'cached', isTrusted: null });
  });
});

describe('what it makes of what it sees', () => {
  const meaning = meaningOfKey('post:1', [posts]) as KeyMeaning;
  const grounds = { claim: { run: 'run.replica', generation: '3' }, origin: 'db' };
  const cached: Inspection = {
    version: 'run.replica.3.db.unique',
    meta: '"tag"',
    loadMs: 2,
    bytes: 10,
    memoryBytes: 300,
    head: '{"id":1}',
    ttlMs: 500_000,
    foreign: undefined,
    lease: undefined,
    waiters: 0,
    fences: [],
    table: { isThere: true, run: 'run.replica', opensInMs: 0 },
    parts: [],
    runId: 'run.replica',
  };

  test.each<[string, Partial<Inspection>, string, RegExp]>([
    ['cached', {}, 'cached', /readers get it from Redis/],
    ['of another run', { version: 'old.replica.3.db.unique' }, 'absent', /another run of Redis/],
    ['of another claim', { version: 'run.replica.2.db.unique' }, 'absent', /another claim/],
    ['of another database', { version: 'run.replica.3.other.unique' }, 'absent', /another database: another server/],
    ['without bytes that should be there', { bytes: null, ttlMs: null }, 'absent', /its bytes are not/],
    ['without bytes', { bytes: null }, 'composed', /from its segments/],
    ['a fence', { version: null, fences: [{ token: 't', remainingMs: 900 }] }, 'bypassed', /open for 900 ms more/],
    [
      'a fence that ran out',
      { version: null, fences: [{ token: 't', remainingMs: -1 }] },
      'absent',
      /nobody has read it/,
    ],
    [
      'a lease',
      { version: null, lease: { token: 't', remainingMs: 80 }, waiters: 2 },
      'loading',
      /80 ms more at most; 2 wait/,
    ],
    ['a lease that ran out', { version: null, lease: { token: 't', remainingMs: 0 } }, 'absent', /nobody has read it/],
    ['a foreign type', { foreign: 'a list', version: null }, 'absent', /a list, which is not ours/],
    [
      'no table',
      { version: null, table: { isThere: false, run: '', opensInMs: 0 } },
      'absent',
      /fence table is not there/,
    ],
    [
      'a table that is shut',
      { version: null, table: { isThere: true, run: '', opensInMs: 70 } },
      'absent',
      /for 70 ms more/,
    ],
  ])('%s', (_, differing, state, reason) => {
    const verdict = judge(meaning, { ...cached, ...differing }, grounds);
    expect(verdict.state).toBe(state);
    expect(verdict.reasons.join('\n')).toMatch(reason);
  });

  test('a Redis that the instances do not use', () => {
    const elsewhere = { ...grounds, claim: { run: 'other.replica', generation: '3' } };
    expect(judge(meaning, cached, elsewhere)).toMatchObject({ state: 'absent', isTrusted: false });
  });

  test('in a cluster there is no claim', () => {
    const version = 'run.replica.0.db.unique';
    expect(judge(meaning, { ...cached, version }, { claim: undefined, origin: 'db' }).state).toBe('cached');
  });

  test('its age, from and to', () => {
    expect(judge(meaning, { ...cached, ttlMs: 500_000 }, grounds).ageMs).toEqual([40_000, 100_000]);
    const negative = judge(meaning, { ...cached, head: 'null', bytes: 4, ttlMs: 20_000 }, grounds);
    expect(negative.ageMs).toEqual([7_000, 10_000]);
  });
});
