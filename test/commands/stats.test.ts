import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { linesOf, type InstanceStats } from '../../src/commands/instance-stats.ts';
import { eventually, type Service, startService } from '../harness/service.ts';
import { runVerb } from '../harness/service-process.ts';

/** The verbs `stats` and `top`, against a running instance. */

const secret = 'of-the-test';
let service: Service;

beforeAll(async () => {
  service = await startService({ REALTIME_API_SECRET: secret });
});
afterAll(() => service.stop());

/** Reads one post again and again meanwhile. */
async function underLoad<T>(work: Promise<T>): Promise<T> {
  const over = new AbortController();
  const readOn = async (): Promise<void> => {
    while (!over.signal.aborted) await service.get('/cache/posts/1');
  };
  const reading = readOn();
  try {
    return await work;
  } finally {
    over.abort();
    await reading;
  }
}

const environmentFor = (port: number) => ({ HOST: '127.0.0.1', PORT: String(port), REALTIME_API_SECRET: secret });

test('stats, once', async () => {
  const { code, lines } = await underLoad(runVerb(['stats'], { environment: environmentFor(service.port) }));
  expect(code).toBe(0);
  expect(lines[0]).toMatch(new RegExp(`^${service.url} {2}process ${process.pid}, up `));
  expect(lines.join('\n')).toMatch(/\ncache {5}\d+\.\d % hits/);
  expect(lines.at(-1)).toMatch(/^ +\d+\.\d % {2}post:1$/);
  const json = await runVerb(['stats', '--json', '--url', service.url], { environment: environmentFor(1) });
  expect(JSON.parse(json.lines.join('\n'))).toMatchObject({ process: { pid: process.pid }, sockets: 0 });
});

test('top, where there is no terminal, look by look', async () => {
  const environment = environmentFor(service.port);
  const text = await runVerb(['top', '--count', '2'], { environment });
  expect(text.lines.filter((line) => line.startsWith('requests '))).toHaveLength(2);
  const json = await runVerb(['top', '--count', '2', '--json'], { environment });
  expect(json.lines.map((line) => JSON.parse(line).sockets)).toEqual([0, 0]);
});

const script = '/usr/bin/script';
const entry = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

// util-linux gives the program a terminal of its own; its namesakes elsewhere take other arguments.
(process.platform === 'linux' && existsSync(script) ? describe : describe.skip)('top on a terminal', () => {
  test.each([
    ['q', 'q'],
    ['Ctrl-C', '\u0003'],
  ])('draws on a page of its own until %s, then leaves the terminal as it was', async (_, key) => {
    const command = `stty rows 10 cols 60; '${process.execPath}' '${entry}' top`;
    const child = spawn(script, ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { PATH: process.env['PATH'], TERM: 'xterm', ...environmentFor(service.port) },
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 25_000,
    });
    let text = '';
    child.stdout.on('data', (bytes) => {
      text += String(bytes);
    });
    await eventually(async () => text.split('\u001b[H').length > 2, 15_000);
    child.stdin.write(key);
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(text.startsWith('\u001b[?1049h\u001b[?25l')).toBe(true);
    expect(text.trimEnd().endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
    const [, screen = ''] = text.split('\u001b[H');
    const drawn = screen.split('\u001b[J')[0]?.split('\r\n') ?? [];
    expect(drawn.length).toBeLessThan(10);
    // The terminal may put a carriage return of its own before a line break.
    const lengths = drawn.map((line) => line.replaceAll('\r', '').replaceAll('\u001b[K', '').length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(60);
  });
});

describe('an instance', () => {
  test('that is not there, or has another secret', async () => {
    const away = await runVerb(['stats'], { environment: environmentFor(1) });
    expect([away.code, away.errors]).toEqual([
      1,
      expect.stringMatching(/^no instance answers at http:\/\/127\.0\.0\.1:1: /),
    ]);
    const other = await runVerb(['stats'], {
      environment: { ...environmentFor(service.port), REALTIME_API_SECRET: 'x' },
    });
    expect([other.code, other.errors]).toEqual([1, expect.stringMatching(/has another REALTIME_API_SECRET/)]);
  });

  test('that is something else', async () => {
    const server = createServer((_request, response) => void response.setHeader('connection', 'close').end('{"a":1}'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, errors } = await runVerb(['stats'], { environment: environmentFor(port) });
    server.close();
    expect([code, errors]).toEqual([1, expect.stringMatching(/is of another version, or it is no instance/)]);
  });
});

test('figures of an instance without requests, with what is away', () => {
  const none: InstanceStats = {
    process: { pid: 7, worker: 2, upSeconds: 3_725, memoryMb: 90 },
    rates: { requests: 12_345.6, memoryHits: 0, storeHits: 0, misses: 0, bypasses: 0, fills: 0, invalidations: 0 },
    hitRatio: null,
    latency: null,
    hottest: [],
    memoryTier: { entries: 0, mb: 0 },
    sockets: 0,
    services: { redis: null, mysql: 12.3 },
  };
  const lines = linesOf(none, 'http://h', 5);
  expect(lines[0]).toBe('http://h  process 7, worker 2, up 1 h 2 min, 90 MiB');
  expect(lines[1]).toBe('requests  12346/s  no requests');
  expect(lines.join('\n')).toContain('services  Redis AWAY  database answers in 12 ms  0 live connections');
});
