import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { stagesOf } from '../../src/commands/warm-paths.ts';
import { WarmState } from '../../src/commands/warm-state.ts';
import { posts } from '../../src/resources/posts/posts.ts';
import { type Backend, backends, eventually, type Service, startService } from '../harness/service.ts';
import { runVerb, startProgram } from '../harness/service-process.ts';

/** The verb `warm`: what it asks for, how fast, and how it goes on. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'energex-cache-test-data-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('what it asks for', () => {
  async function pathsOf(content: string): Promise<readonly string[]> {
    const ids = join(folder, 'ids');
    await writeFile(ids, content);
    const [stage] = await stagesOf({ lists: false, newest: 0, ids }, [posts]);
    const paths: string[] = [];
    const batches = stage?.batches({ stage: 'ids', done: 0 }, () => Promise.reject(new Error('no page')));
    for await (const batch of batches ?? []) paths.push(...batch.paths);
    return paths;
  }

  test('ids and keys, those that are there most often first', async () => {
    expect(await pathsOf('7\npost:8\r\n8\n\nposts:all\n0\npost:x\n')).toEqual([
      '/cache/posts/8',
      '/cache/posts/7',
      '/cache/posts',
    ]);
  });

  test('the paths of an access log', async () => {
    const line = (request: string): string =>
      `10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "${request} HTTP/1.1" 200 512 "https://app.example.com/" "Mozilla"\n`;
    const log = [
      line('GET /cache/posts/5'),
      line('GET /cache/posts?limit=20'),
      line('GET /cache/posts/5'),
      line('GET /favicon.ico'),
      line('GET /cache/postscript/9'),
      'https://cache.example.com/cache/posts/6\n',
    ];
    expect(await pathsOf(log.join(''))).toEqual(['/cache/posts/5', '/cache/posts?limit=20', '/cache/posts/6']);
  });

  test.each([
    ['names nothing', 'no id here\n', /names no id, key or URL of \/cache\/posts$/],
    ['is not there', undefined, /^--ids must name a file that can be read/],
  ])('a file that %s is refused', async (_, content, message) => {
    const ids = join(folder, content === undefined ? 'nowhere' : 'nothing');
    if (content !== undefined) await writeFile(ids, content);
    await expect(stagesOf({ lists: false, newest: 0, ids }, [posts])).rejects.toThrow(message);
  });
});

describe('where it stopped', () => {
  const plan = { lists: true, newest: 5, ids: undefined };

  test('is kept for the same flags, until it is done', async () => {
    const file = join(folder, 'state');
    const state = new WarmState(file, plan);
    expect(state.load()).toBeUndefined();
    state.save({ stage: 'newest posts', done: 3, after: 'abc' });
    expect(new WarmState(file, plan).load()).toEqual({ stage: 'newest posts', done: 3, after: 'abc' });
    expect(() => new WarmState(file, { ...plan, newest: 6 }).load()).toThrow('is of other flags');
    state.clear();
    expect(new WarmState(file, plan).load()).toBeUndefined();
    await writeFile(file, 'text');
    expect(() => state.load()).toThrow('is no state');
    await writeFile(file, JSON.stringify({ plan, position: { stage: 1 } }));
    expect(() => state.load()).toThrow('holds no position');
  });

  test('is nowhere without a file', () => {
    const state = new WarmState(undefined, plan);
    state.save({ stage: 'lists', done: 1 });
    expect(state.load()).toBeUndefined();
    state.clear();
  });
});

describe.each(backends.slice(1, 2))('on $name', ({ start }) => {
  let backend: Backend;
  let service: Service;

  beforeAll(async () => {
    backend = await start();
    expect((await runVerb(['seed', '--posts', '250', '--users', '3'], backend)).code).toBe(0);
  }, 60_000);
  beforeEach(async () => {
    expect((await runVerb(['invalidate', '--all'], backend)).code).toBe(0);
    service ??= await startService(backend.environment);
    await eventually(async () => (await service.get('/cache/posts/250')).json.source === 'cache');
  });
  afterAll(async () => {
    await service.stop();
    await backend.stop();
  });

  const run = async (...flags: string[]) => {
    const { code, lines, errors } = await runVerb([
      'warm',
      '--url',
      `${service.url}/`,
      '--rate',
      '5000',
      '--json',
      ...flags,
    ]);
    return { code, errors, document: JSON.parse(lines.join('\n')) };
  };
  const sourceOf = async (path: string): Promise<string> => (await service.get(path)).json.source;

  test('lists and the newest rows, when nothing else is said', async () => {
    const { code, document } = await run();
    expect(code).toBe(0);
    // Rows and lists, but the one row that was there already.
    expect(document).toMatchObject({ filled: 251, present: 1, absent: 0, failed: 0, interrupted: false });
    for (const path of ['/cache/posts', '/cache/posts?limit=20', '/cache/posts/1'])
      expect(await sourceOf(path)).toBe('cache');
    expect(await run()).toMatchObject({ code: 0, document: { filled: 0, present: 252 } });
  });

  test('only so many of the newest, at most so many a second', async () => {
    const began = performance.now();
    const { document } = await run('--newest', '120', '--rate', '100');
    expect(performance.now() - began).toBeGreaterThan(1_150);
    expect(document).toMatchObject({ filled: 119, present: 1, requests: 122 });
    expect(await sourceOf('/cache/posts/131')).toBe('cache');
    expect(await sourceOf('/cache/posts/130')).toBe('database');
  });

  test('what a file names; an id without a row is cached as well, one that is none fails', async () => {
    const ids = join(folder, 'mixed');
    await writeFile(ids, '3\n4\n99999\n/cache/posts?limit=1000\n');
    const { code, document } = await run('--ids', ids);
    expect([code, document.firstFailure]).toEqual([3, expect.stringMatching(/limit=1000 answers 400/)]);
    expect(document).toMatchObject({ filled: 2, absent: 1, failed: 1 });
  });

  test('stops at SIGINT, and goes on where it was', async () => {
    const state = join(folder, 'progress');
    const args = ['warm', '--url', service.url, '--newest', '250', '--state', state, '--rate', '60', '--json'];
    const program = await startProgram({ arguments: args });
    await eventually(async () => existsSync(state), 10_000);
    program.signal('SIGINT');
    expect((await program.ended).code).toBe(130);
    const first = JSON.parse(program.lines.join('\n'));
    await program.stop();
    expect(first.interrupted).toBe(true);
    const { position } = JSON.parse(await readFile(state, 'utf8'));
    expect(position).toMatchObject({ stage: 'newest posts', done: 100, after: expect.any(String) });
    const second = await run('--newest', '250', '--state', state);
    expect(second).toMatchObject({ code: 0, document: { interrupted: false } });
    expect(second.document.filled + second.document.present).toBe(150);
    expect(existsSync(state)).toBe(false);
    expect(await run('--newest', '250')).toMatchObject({ document: { filled: 0, present: 250 } });
  });

  test('plain lines where there is no terminal', async () => {
    const { lines } = await runVerb(['warm', '--url', service.url, '--lists', '--rate', '1000']);
    expect(lines).toEqual([
      'lists: 1 of 2',
      'lists: 2 of 2',
      expect.stringMatching(/^\d filled, \d there already, 0 without a row, 0 failed$/),
    ]);
  });
});

describe('an instance', () => {
  test('that is not there', async () => {
    const { code, errors } = await runVerb(['warm', '--url', 'http://127.0.0.1:1']);
    expect([code, errors]).toEqual([1, expect.stringMatching(/^no instance answers at http:\/\/127\.0\.0\.1:1: /)]);
    const none = await runVerb(['warm', '--url', 'localhost']);
    expect([none.code, none.errors]).toEqual([2, expect.stringMatching(/^--url must be a URL/)]);
  });

  test.each([
    ['is not well', 503, 1, /is not well: GET \/cache\/health answers 503/],
    ['is well and then busy', 200, 3, /answers 503/],
  ])('that %s', async (_, health, code, message) => {
    let asked = 0;
    const server = createServer((request, response) => {
      asked += 1;
      const status = request.url === '/cache/health' ? health : 503;
      response.writeHead(status, { 'retry-after': '0', connection: 'close' }).end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ended = await runVerb(['warm', '--lists'], { environment: { HOST: '127.0.0.1', PORT: String(port) } });
    server.close();
    expect([ended.code, `${ended.errors}${ended.lines.join('\n')}`]).toEqual([code, expect.stringMatching(message)]);
    // Five attempts for each of two paths.
    expect(asked).toBe(health === 200 ? 11 : 1);
  });
});
