import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { MemoryTier } from '../../src/cache/memory-tier.ts';
import { eventually } from '../harness/eventually.ts';

setFlagsFromString('--expose-gc');
const collectGarbage: unknown = runInNewContext('gc');

function collect(): void {
  if (typeof collectGarbage === 'function') collectGarbage();
}

const entry = (value: Buffer) => ({ version: 'v', value, meta: 'm', loadMs: 1, ttlMs: 1_000 });

describe('values that the in-process tier does not keep', () => {
  test('a large one is found as long as someone else uses it, and no longer than its time to live', () => {
    const tier = new MemoryTier(10_000);
    const value = Buffer.alloc(50_000, 'x');
    tier.keep('list', entry(value), 0);
    expect(tier.size).toBe(0);
    collect();
    expect(tier.get('list', 10)).toMatchObject({ version: 'v', meta: 'm', expiresAt: 1_000 });
    expect(tier.get('list', 10)?.value).toBe(value);
    expect(tier.get('list', 1_000)).toBeUndefined();
    expect(tier.get('list', 10)).toBeUndefined();
  });

  test('one that nobody uses is gone', async () => {
    const tier = new MemoryTier(10_000);
    tier.keep('list', entry(Buffer.alloc(50_000, 'x')), 0);
    await eventually(async () => {
      collect();
      return tier.get('list', 10) === undefined;
    });
  });

  test('of many that nobody uses no more is remembered than of a few', async () => {
    const tier = new MemoryTier(10_000);
    for (let round = 0; round < 3; round += 1) {
      for (let count = 0; count < 1_100; count += 1) tier.keep(`${round} ${count}`, entry(Buffer.alloc(20_000)), 0);
      // A value that was looked at in this turn of the event loop is not freed in it.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }
    const used = Buffer.alloc(20_000);
    tier.keep('used', entry(used), 0);
    for (let count = 0; count < 1_100; count += 1) tier.keep(`last ${count}`, entry(Buffer.alloc(20_000)), 0);
    expect(tier.get('used', 10)?.value).toBe(used);
  });

  test('a newer one takes its place, whatever its size', async () => {
    const tier = new MemoryTier(10_000);
    const old = Buffer.alloc(50_000, 'x');
    tier.keep('list', entry(old), 0);
    tier.keep('list', { ...entry(Buffer.alloc(60_000, 'y')), version: 'w' }, 0);
    expect(tier.get('list', 10)?.version).toBe('w');
    tier.keep('list', { ...entry(Buffer.from('small')), version: 'z' }, 0);
    expect(tier.get('list', 10)?.version).toBe('z');
    expect(old).toHaveLength(50_000);
  });
});

test('what makes room for others is counted, and nothing else', () => {
  const tier = new MemoryTier(10_000);
  const small = (): ReturnType<typeof entry> => entry(Buffer.alloc(500));
  for (const key of ['a', 'b', 'c', 'd']) tier.keep(key, small(), 0);
  tier.keep('d', small(), 0);
  tier.get('d', 1_000);
  expect([tier.size, tier.evictions]).toEqual([3, 0]);
  for (const key of ['e', 'f', 'g', 'h']) tier.keep(key, small(), 0);
  expect(tier.evictions).toBe(7 - tier.size);
  expect(tier.evictions).toBeGreaterThan(0);
});
