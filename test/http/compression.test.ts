import { describe, expect, test } from '@jest/globals';
import { type HeldEntry, MemoryTier } from '../../src/cache/memory-tier.ts';
import { encodeValue } from '../../src/http/coded-value.ts';
import { Compression } from '../../src/http/compression.ts';
import type { ContentCoding } from '../../src/option-kinds.ts';
import { eventually } from '../harness/eventually.ts';

const mb = 1024 * 1024;
const text = Buffer.from('{"id":1,"title":"a title"}, '.repeat(4_000));

/** The real encoder and the real tier, on a clock that the test moves. */
function open({ maxBytes = 64 * mb, codings = ['br', 'gzip'] as readonly ContentCoding[] } = {}) {
  let now = 0;
  const memory = new MemoryTier(maxBytes);
  const work = { begun: 0, running: 0, most: 0 };
  const compression = new Compression({
    codings,
    leastBytes: 1_000,
    clock: { now: () => now },
    keepBeside: (held, bytes) => memory.keepBeside(held, bytes),
    encode: async (...given) => {
      work.begun += 1;
      work.running += 1;
      work.most = Math.max(work.most, work.running);
      try {
        return await encodeValue(...given);
      } finally {
        now += 10;
        work.running -= 1;
      }
    },
  });
  const keep = (key: string, value: Buffer): HeldEntry =>
    memory.keep(key, { version: key, value, meta: '"m"', loadMs: 1, ttlMs: 1_000_000 }, now);
  const wait = (ms: number): void => {
    now += ms;
  };
  /** Until nothing is under way; what follows the last step of the encoder takes a turn more. */
  const settled = () =>
    eventually(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      return work.running === 0;
    });
  return { memory, compression, work, keep, wait, settled };
}

/** What compressing is expected to take is less than this. */
const longEnough = 10;

describe('when a version is compressed', () => {
  test('once another client asks, after as long as it takes; then it is there for all', async () => {
    const { compression, work, keep, wait, settled } = open();
    const held = keep('list', text);
    expect(compression.find(held, 'br')).toBeUndefined();
    expect(compression.find(held, 'br')).toBeUndefined();
    expect(work.begun).toBe(0);
    wait(longEnough);
    expect(compression.find(held, 'br')).toBeUndefined();
    expect(compression.find(held, 'br')).toBeUndefined();
    expect(work.begun).toBe(1);
    await settled();
    const coded = compression.find(held, 'gzip, br');
    expect([coded?.coding, compression.find(held, 'br')]).toEqual(['br', coded]);
    expect(work.begun).toBe(1);
  });

  test('each coding by itself', async () => {
    const { compression, work, keep, wait, settled } = open();
    const held = keep('list', text);
    for (const coding of ['br', 'gzip']) {
      compression.find(held, coding);
      wait(1_000);
      compression.find(held, coding);
      await settled();
    }
    expect([compression.find(held, 'br')?.coding, compression.find(held, 'gzip')?.coding]).toEqual(['br', 'gzip']);
    expect(work.begun).toBe(2);
  });

  test.each([
    ['a client that says nothing', undefined, text],
    ['one that wants no coding', 'identity', text],
    ['a small value', 'br', text.subarray(0, 999)],
  ])('never for %s', async (_, acceptEncoding, value) => {
    const { compression, work, keep, wait } = open();
    const held = keep('list', value);
    for (let time = 0; time < 5; time += 1) {
      wait(1_000);
      expect(compression.find(held, acceptEncoding)).toBeUndefined();
    }
    expect(work.begun).toBe(0);
  });

  test('never when it is off', () => {
    const { compression, work, keep, wait } = open({ codings: [] });
    const held = keep('list', text);
    compression.find(held, 'br');
    wait(1_000);
    compression.find(held, 'br');
    expect([work.begun, compression.varies(text.length)]).toEqual([0, false]);
  });

  test('not what is replaced as fast as it could be compressed', () => {
    const { compression, work, keep, wait } = open();
    const long = Buffer.alloc(4_000_000, 'x');
    for (let version = 0; version < 100; version += 1) {
      const held = keep('list', long);
      for (let ask = 0; ask < 5; ask += 1) {
        compression.find(held, 'br');
        wait(2);
      }
    }
    expect(work.begun).toBe(0);
  });

  test('of a burst of versions one at a time, with pauses: not more than a quarter of the time', async () => {
    const { compression, work, keep, wait, settled } = open();
    const burst = Array.from({ length: 500 }, (_, number) => keep(`page ${number}`, text));
    for (const held of burst) compression.find(held, 'br');
    wait(longEnough);
    for (const held of burst) compression.find(held, 'br');
    expect([work.begun, work.most]).toEqual([1, 1]);
    await settled();
    // It took 10 ms: for 30 more none begins.
    wait(29);
    for (const held of burst) compression.find(held, 'br');
    expect(work.begun).toBe(1);
    wait(1);
    for (const held of burst) compression.find(held, 'br');
    expect([work.begun, work.most]).toEqual([2, 1]);
    await settled();
    expect(burst.filter((held) => compression.find(held, 'br') !== undefined)).toHaveLength(2);
  });

  test('nothing any more once it is closed, and what is under way ends', async () => {
    const { compression, work, keep, wait, settled } = open();
    const [held, other] = [keep('list', Buffer.alloc(30 * mb, 'x')), keep('other', text)];
    for (const each of [held, other]) compression.find(each, 'gzip');
    wait(1_000);
    compression.find(held, 'gzip');
    compression.close();
    await settled();
    wait(1_000);
    expect([compression.find(held, 'gzip'), compression.find(other, 'gzip')]).toEqual([undefined, undefined]);
    expect(work.begun).toBe(1);
  });
});

describe('the memory of compressed forms', () => {
  /** Asks for it until it was compressed, or not; what was compressed before is long ago. */
  async function compress({ compression, wait, settled }: ReturnType<typeof open>, held: HeldEntry): Promise<void> {
    wait(100_000);
    compression.find(held, 'gzip');
    wait(1_000);
    compression.find(held, 'gzip');
    await settled();
  }

  test('counts against the bound of the tier, and goes with the entry', async () => {
    const opened = open();
    const { memory, compression, keep } = opened;
    const held = keep('list', text);
    const before = memory.bytes;
    await compress(opened, held);
    const length = compression.find(held, 'gzip')?.bytes.length ?? 0;
    expect(length).toBeGreaterThan(0);
    // What is prepared of it counts as well.
    expect(memory.bytes).toBe(before + 2 * length);
    expect(memory.get('list', 0)).toBe(held);
    keep('list', text);
    expect(memory.bytes).toBe(before);
  });

  test('stays within the bound, whatever is compressed', async () => {
    const opened = open({ maxBytes: 10 * mb });
    const noise = (seed: number): Buffer =>
      Buffer.from(
        Buffer.from(
          Array.from({ length: 400_000 }, (_, at) => (((at + seed) * at * 2_654_435_761) >>> 21) & 0xff),
        ).toString('base64'),
      );
    for (let number = 0; number < 30; number += 1) {
      await compress(opened, opened.keep(`page ${number}`, noise(number)));
      expect(opened.memory.bytes).toBeLessThanOrEqual(10 * mb);
    }
    expect(opened.work.begun).toBe(30);
    expect(opened.memory.size).toBeGreaterThan(3);
  });

  test.each([
    [
      'replaced meanwhile',
      async ({ keep, compression, wait }: ReturnType<typeof open>) => {
        const held = keep('list', text);
        compression.find(held, 'gzip');
        wait(1_000);
        compression.find(held, 'gzip');
        keep('list', text);
        return held;
      },
    ],
    ['not in the tier', async ({ keep }: ReturnType<typeof open>) => keep('list', Buffer.alloc(3 * mb, 'x'))],
    [
      'too large together with it',
      async ({ keep }: ReturnType<typeof open>) =>
        keep('list', Buffer.from(`${'x'.repeat(1.98 * mb - 20_000)}${Buffer.from(noise20k).toString('base64')}`)),
    ],
    ['as large as before', async ({ keep }: ReturnType<typeof open>) => keep('list', Buffer.from(noise20k))],
  ])('is given up, once, for what is %s', async (_, prepare) => {
    const opened = open({ maxBytes: 2 * mb });
    const held = await prepare(opened);
    const { memory, compression, work } = opened;
    await compress(opened, held);
    const bytes = memory.bytes;
    for (let time = 0; time < 3; time += 1) await compress(opened, held);
    expect(compression.find(held, 'gzip')).toBeUndefined();
    expect([work.begun, memory.bytes]).toEqual([1, bytes]);
  });
});

const noise20k = Array.from({ length: 20_000 }, (_, at) => (at * at * 2_654_435_761) >>> 24);
