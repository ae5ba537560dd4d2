import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connectClient } from '../harness/live-client.ts';
import { runVerb, startProgram } from '../harness/service-process.ts';
import { eventually, type Service, startService } from '../harness/service.ts';
import { stopAfterEach } from '../harness/stops.ts';

/** The verbs that look into the cache, where it is in the process that serves: they ask that one. */

const secret = 'the secret of the operators';
const placeOf = ({ port }: { port: number }): Record<string, string> => ({ HOST: '127.0.0.1', PORT: String(port) });

describe('an instance on the embedded default', () => {
  let service: Service;
  const verb = (...args: string[]) => runVerb(args, { environment: placeOf(service) });
  const sourceOf = async (path: string): Promise<string> => (await service.get(path)).json.source;

  beforeAll(async () => {
    service = await startService({});
    for (const title of ['one', 'two', 'three']) {
      const { status } = await service.request('POST', '/cache/posts', { title, content: 'c', user_id: 1 });
      expect(status).toBe(201);
    }
  });
  afterAll(() => service.stop());

  test('inspect says of a URL what is cached, and what is not', async () => {
    await verb('invalidate', '--all');
    const before = await verb('inspect', '/cache/posts/1?utm=1');
    expect([before.code, before.errors]).toEqual([0, '']);
    expect(before.lines).toEqual([
      'GET /cache/posts/1?utm=1',
      'parameters that make no difference, and no key: utm',
      'post:1: a row of posts',
      `state: absent, as ${service.url} sees it`,
      '  version  none',
      '  guard    nothing is there',
    ]);
    const { json } = await service.get('/cache/posts/1');
    const after = JSON.parse((await verb('inspect', 'post:1', '--json')).lines.join('\n'));
    expect(after).toMatchObject({
      key: 'post:1',
      resource: 'posts',
      kind: 'row',
      state: 'cached',
      instance: service.url,
      found: { bytes: Buffer.byteLength(JSON.stringify(json.data)), current: true },
    });
    const { lines } = await verb('inspect', 'post:1');
    expect(lines.join('\n')).toMatch(/\n {2}age {6}at most \d+\.\d s\n {2}ttl {6}\d+\.\d s\n {2}size {5}\d+ bytes\n/);
  });

  test('invalidate takes a row away, with its list, and tells live clients', async () => {
    await service.get('/cache/posts');
    await service.get('/cache/posts/2');
    const dry = await verb('invalidate', 'post:2', '--dry-run');
    expect(dry.lines).toEqual([
      'Would invalidate:',
      expect.stringMatching(/^ {2}post:2: cached, \d+ bytes$/),
      '  posts:rows:0: not cached',
      expect.stringMatching(/^ {2}posts:all: cached, \d+ bytes$/),
    ]);
    expect(await sourceOf('/cache/posts/2')).toBe('cache');
    const client = await connectClient(service.url, { auth: { epoch: '', offset: 0 } });
    await eventually(async () => client.sessions.length > 0);
    const before = client.sessions.length;
    const { code, lines } = await verb('invalidate', '/cache/posts/2');
    expect(code).toBe(0);
    expect(lines).toEqual([
      'Invalidated post:2',
      'Invalidated posts:rows:0',
      'Invalidated posts:all',
      'Live clients were told to read anew.',
    ]);
    expect([await sourceOf('/cache/posts/2'), await sourceOf('/cache/posts')]).toEqual(['database', 'database']);
    await eventually(async () => client.sessions.length > before);
    client.close();
  });

  test.each([['posts'], ['--all']])('invalidate %s takes all away', async (what) => {
    for (const path of ['/cache/posts', '/cache/posts/1', '/cache/posts/3']) await service.get(path);
    const dry = JSON.parse((await verb('invalidate', what, '--dry-run', '--json')).lines.join('\n'));
    expect(dry).toMatchObject({ dryRun: true, instance: service.url, names: [] });
    const rows = dry.prefixes.find(({ prefix }: { prefix: string }) => prefix === 'post:');
    expect(rows.names).toBeGreaterThanOrEqual(2);
    const { lines } = await verb('invalidate', what);
    expect(lines).toContain('Invalidated post:*');
    for (const path of ['/cache/posts', '/cache/posts/1', '/cache/posts/3']) {
      expect([path, await sourceOf(path)]).toEqual([path, 'database']);
    }
  });

  test('events tail prints what comes, and that an epoch begins', async () => {
    const program = await startProgram({ arguments: ['events', 'tail', '--json'], environment: placeOf(service) });
    try {
      const change = (title: string) => service.request('PUT', '/cache/posts/1', { title });
      // It looks from some moment on, which it does not tell.
      const printed = (pattern: RegExp): boolean => program.lines.some((line) => pattern.test(line));
      let count = 0;
      await eventually(async () => {
        count += 1;
        await change(`first ${count}`);
        return printed(/"title":"first/);
      });
      await verb('invalidate', '--all');
      expect(JSON.parse(await program.line(/"type":"epoch"/))).toMatchObject({ type: 'epoch' });
      await change('behind it');
      expect(JSON.parse(await program.line(/"title":"behind it"/))).toMatchObject({
        type: 'event',
        event: 'post_updated',
        rooms: ['posts', 'post:1'],
      });
      program.signal('SIGINT');
      expect(await program.ended).toMatchObject({ code: 0 });
    } finally {
      await program.stop();
    }
  });

  test('stats and top need no secret where the dashboard needs none', async () => {
    const { code, lines } = await verb('stats');
    expect([code, lines[0]]).toEqual([0, expect.stringContaining(`process ${process.pid}`)]);
    const top = await verb('top', '--count', '1', '--json');
    expect(JSON.parse(top.lines.join('\n')).process.pid).toBe(process.pid);
  });
});

describe('an instance whose dashboard has a login', () => {
  const stops = stopAfterEach(3_000);

  test('answers who has the secret of the operators', async () => {
    const service = await startService({ OPERATOR_SECRET: secret });
    stops.push(service.stop);
    const ask = (given: Record<string, string>) =>
      runVerb(['inspect', 'post:1'], { environment: { ...placeOf(service), ...given } });
    expect(await ask({ OPERATOR_SECRET: secret })).toMatchObject({ code: 0, errors: '' });
    expect(await ask({ OPERATOR_SECRET: 'another secret' })).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/answers 401: That is not the operator's secret$/m),
    });
    expect(await ask({})).toMatchObject({
      code: 1,
      errors: expect.stringMatching(/answers operators alone: set OPERATOR_SECRET to the one it has$/m),
    });
    const stats = await runVerb(['stats', '--url', service.url], { environment: { OPERATOR_SECRET: secret } });
    expect([stats.code, stats.errors]).toEqual([0, '']);
  });
});

test.each([['inspect', 'post:1'], ['invalidate', '--all'], ['stats'], ['events', 'tail']])(
  '%s, where nobody answers',
  async (...args) => {
    const { code, errors } = await runVerb(args, { environment: placeOf({ port: 1 }) });
    expect([code, errors]).toEqual([1, expect.stringMatching(/^no instance answers at http:\/\/127\.0\.0\.1:1: /)]);
  },
);
