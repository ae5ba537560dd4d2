/**
 * What it costs to compress a list once, by content coding and level, and how many bytes come of it; and how long the event loop
 * is held up while the service compresses one.
 *
 *   npm run bench:compression
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { brotliCompressSync, constants, crc32, gzipSync } from 'node:zlib';
import { Rope } from '../src/cache/rope.ts';
import { encodeValue } from '../src/http/coded-value.ts';
import { root } from './stage/stage.ts';

/** Posts of words at random out of the documents of this project: they repeat less than those of `seed`. */
function prose(posts: number, seed = 1): Buffer {
  const folder = join(root, 'docs');
  const files = readdirSync(folder).filter((name) => name.endsWith('.md'));
  const words = files.flatMap((name) => readFileSync(join(folder, name), 'utf8').split(/\s+/));
  let state = seed;
  const text = (length: number): string =>
    Array.from({ length }, () => {
      state = (state * 48_271) % 0x7fff_ffff;
      return words[state % words.length];
    }).join(' ');
  return toList(posts, (id) => ({ title: text(5), content: text(30 + (id % 40)) }));
}

/** As `seed` writes them. */
function seeded(posts: number): Buffer {
  const sentences = (id: number) =>
    Array.from(
      { length: 3 + (id % 5) },
      (_, at) => `This is sentence ${at + 1} of post ${id}, written to have something to read.`,
    );
  return toList(posts, (id) => ({ title: `Post ${id}`, content: sentences(id).join(' ') }));
}

function toList(posts: number, textOf: (id: number) => { title: string; content: string }): Buffer {
  const time = (id: number): string => `${new Date(1_700_000_000_000 + id * 3_000_000).toISOString().slice(0, 19)}Z`;
  const list = Array.from({ length: posts }, (_, at) => {
    const user = { id: at % 100, name: `User ${at % 100}`, email: `user-1f3c-${at % 100}@example.com` };
    return {
      id: posts - at,
      ...textOf(posts - at),
      created_at: time(-at),
      updated_at: time(-at),
      user_id: user.id,
      user,
    };
  });
  return Buffer.from(JSON.stringify(list));
}

/** Milliseconds that `work` takes of a thread, the best of some times: what else the machine does is not asked for. */
function timeOf(work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let count = 0, began = performance.now(); count < 3 || performance.now() - began < 250; count += 1) {
    const start = performance.now();
    work();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

const levels: readonly [name: string, compress: (body: Buffer) => Buffer][] = [
  ...[0, 1, 2, 3, 4, 5].map((level): [string, (body: Buffer) => Buffer] => [
    `br ${level}`,
    (body) =>
      brotliCompressSync(body, {
        params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_SIZE_HINT]: body.length },
      }),
  ]),
  ...[1, 2, 3, 6].map((level): [string, (body: Buffer) => Buffer] => [
    `gzip ${level}`,
    (body) => gzipSync(body, { level }),
  ]),
];

const bodies = { 'seeded 4m': seeded(10_000), 'prose 4m': prose(8_000), 'prose 40k': prose(80), 'prose 5k': prose(10) };
for (const [name, body] of Object.entries(bodies)) {
  const mb = body.length / 1e6;
  const checksum = timeOf(() => crc32(body)) / mb;
  console.log(`${name}: ${body.length} bytes; checksum ${checksum.toFixed(2)} ms/MB`);
  for (const [level, compress] of levels) {
    const share = compress(body).length / body.length;
    console.log(
      `  ${level.padEnd(8)} ${(100 * share).toFixed(1).padStart(5)} %  ${(timeOf(() => compress(body)) / mb).toFixed(1).padStart(5)} ms/MB`,
    );
  }
}

const segments = Array.from({ length: 700 }, (_, at) => prose(120, at + 1));
const rope = new Rope(segments, segments);
const work = {
  nothing: () => new Promise((resolve) => setTimeout(resolve, 500)),
  br: () => encode('br'),
  gzip: () => encode('gzip'),
};
for (const [name, doWork] of Object.entries(work)) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  await doWork();
  const took = performance.now() - began;
  delay.disable();
  const [p50, p99, most] = [delay.percentile(50), delay.percentile(99), delay.max].map((ns) => (ns / 1e6).toFixed(1));
  console.log(
    `${(rope.length / 1e6).toFixed(0)} MB in segments, ${name}: ${took.toFixed(0)} ms; the loop takes a turn each ${p50} ms (p50), ${p99} (p99), ${most} at most`,
  );
}

function encode(coding: 'br' | 'gzip'): Promise<unknown> {
  return encodeValue(coding, '{"data":', rope, { mostBytes: rope.length, signal: new AbortController().signal });
}
