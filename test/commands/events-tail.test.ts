import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Backend, backends, eventually, type Service, startService } from '../harness/service.ts';
import { runVerb, startProgram } from '../harness/service-process.ts';

/** The verb `events tail`, on real servers. */

describe.each(backends.slice(1, 2))('on $name', ({ start }) => {
  let backend: Backend;
  let service: Service;

  beforeAll(async () => {
    backend = await start();
    expect((await runVerb(['seed', '--posts', '3', '--users', '1'], backend)).code).toBe(0);
    service = await startService(backend.environment);
    await eventually(async () => (await service.get('/cache/posts/1')).json.source === 'cache');
  }, 60_000);
  afterAll(async () => {
    await service.stop();
    await backend.stop();
  });

  const change = (title: string) => service.request('PUT', '/cache/posts/1', { title });

  test('those that are there, then what comes, then a new epoch', async () => {
    await change('one');
    await change('two');
    const program = await startProgram({
      arguments: ['events', 'tail', '--last', '1', '--json'],
      environment: backend.environment,
    });
    try {
      const first = JSON.parse(await program.line(/"title":"two"/));
      expect(first).toMatchObject({
        type: 'event',
        event: 'post_updated',
        rooms: ['posts', 'post:1'],
        at: expect.stringMatching(/^20\d\d-.*Z$/),
        data: { id: 1, title: 'two' },
      });
      await change('three');
      const next = JSON.parse(await program.line(/"title":"three"/));
      expect(next.offset).toBeGreaterThan(first.offset);
      expect(next.epoch).toBe(first.epoch);
      expect((await runVerb(['invalidate', '--all'], backend)).code).toBe(0);
      const epoch = JSON.parse(await program.line(/"type":"epoch"/));
      expect(epoch.epoch).not.toBe(first.epoch);
      await change('four');
      expect(JSON.parse(await program.line(/"title":"four"/)).epoch).toBe(epoch.epoch);
      expect(program.lines.join('\n')).not.toContain('"title":"one"');
      program.signal('SIGINT');
      expect(await program.ended).toMatchObject({ code: 0 });
    } finally {
      await program.stop();
    }
  });

  test('only those of a name, and only so many', async () => {
    const tail = runVerb(['events', 'tail', '--last', '0', '--event', 'post_deleted', '--count', '1'], backend);
    let ended = false;
    void tail.then(() => {
      ended = true;
    });
    // Until it looks, what happens is before its time.
    await eventually(async () => {
      const created = await service.request('POST', '/cache/posts', { title: 'short-lived', content: 'c', user_id: 1 });
      await service.request('DELETE', `/cache/posts/${created.json.data.id}`);
      return ended;
    }, 20_000);
    const { code, lines } = await tail;
    expect(code).toBe(0);
    expect(lines).toEqual([
      expect.stringMatching(/Z {2}post_deleted {2}offset \d+, version \d+ {2}posts post:\d+ {2}\{"id":\d+\}$/),
    ]);
  });

  test('without a Redis to ask', async () => {
    const environment = { ...backend.environment, REDIS_URL: 'redis://127.0.0.1:1' };
    const { code, errors } = await runVerb(['events', 'tail'], { environment });
    expect([code, errors]).toEqual([1, expect.stringMatching(/^Redis cannot be asked: .*ECONNREFUSED/)]);
  });
});
