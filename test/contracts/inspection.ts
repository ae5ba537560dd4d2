import { describe, expect, test } from '@jest/globals';
import { type Inspection, shownBytes } from '../../src/cache/inspection.ts';
import { partOf } from '../../src/cache/key.ts';
import type { CacheStore, Fill } from '../../src/cache/store.ts';

type Inspectable = CacheStore & { readonly inspection: Inspection };

const fillOf = (value: string | null, more: Partial<Fill> = {}): Fill => ({
  value: value === null ? null : Buffer.from(value),
  meta: '"tag"',
  ttlMs: 60_000,
  loadMs: 7,
  ...more,
});

/** What people are shown must be what the store holds. */
export function describeInspection(given: () => Inspectable): void {
  describe('for people', () => {
    const lease = async (key: string): Promise<string> => {
      const acquired = await given().acquire(key, 5_000);
      if (acquired.kind !== 'lease') throw new Error(`expected the lease of ${key}, got ${acquired.kind}`);
      return acquired.token;
    };
    const put = async (key: string, fill: Fill): Promise<string> => {
      const token = await lease(key);
      expect(await given().fill(key, token, fill)).toEqual({ stored: true });
      return token;
    };

    test('there is nothing under a key that nobody has touched', async () => {
      expect(await given().inspection.look('shown:0')).toBeNull();
    });

    test('a value is shown with all that belongs to it', async () => {
      const version = await put('shown:1', fillOf('{"id":1}'));
      const looked = await given().inspection.look('shown:1');
      expect(looked).toMatchObject({
        version,
        isCurrent: true,
        isComposed: false,
        meta: '"tag"',
        loadMs: 7,
        bytes: 8,
        value: Buffer.from('{"id":1}'),
        leaseMs: null,
        fences: 0,
        parts: [],
      });
      expect(looked?.ttlMs).toBeGreaterThan(50_000);
      expect(looked?.ttlMs).toBeLessThanOrEqual(60_000);
    });

    test('of a long value the beginning', async () => {
      await put('shown:2', fillOf('x'.repeat(shownBytes + 1)));
      const looked = await given().inspection.look('shown:2');
      expect([looked?.bytes, looked?.value?.length]).toEqual([shownBytes + 1, shownBytes]);
    });

    test('a version without bytes, a lease, a fence', async () => {
      const version = await put('shown:3', fillOf(null));
      const composed = await given().inspection.look('shown:3');
      expect(composed).toMatchObject({ version, isComposed: true, bytes: null, value: null });
      expect(composed?.ttlMs).toBeGreaterThan(50_000);
      await lease('shown:4');
      const loading = await given().inspection.look('shown:4');
      expect(loading).toMatchObject({ version: null, isCurrent: false, isComposed: false, ttlMs: null, loadMs: null });
      expect(loading?.leaseMs).toBeGreaterThan(1_000);
      const writer = given().unique();
      await given().fence(['shown:5'], writer, 30_000);
      expect(await given().inspection.look('shown:5')).toMatchObject({ version: null, fences: 1, leaseMs: null });
      await given().release(['shown:5'], writer);
      expect(await given().inspection.look('shown:5')).toBeNull();
    });

    test('the parts of a name, and each of them by itself', async () => {
      await put(partOf('shown:6', 'limit=5'), fillOf('five'));
      const version = await put(partOf('shown:6', 'limit=1'), fillOf('one'));
      expect(await given().inspection.look('shown:6')).toMatchObject({ version: null, parts: ['limit=1', 'limit=5'] });
      expect(await given().inspection.look('shown:6#limit=1')).toMatchObject({ version, value: Buffer.from('one') });
    });

    test('names by a pattern, sorted, and whether there are more', async () => {
      for (const key of ['found:1', 'found:2', 'found:10', partOf('founds', 'limit=1')]) await put(key, fillOf('x'));
      const find = (pattern: string, most = 100) => given().inspection.find(pattern, most);
      expect(await find('found:*')).toEqual({ names: ['found:1', 'found:10', 'found:2'], hasMore: false });
      expect(await find('found:?')).toEqual({ names: ['found:1', 'found:2'], hasMore: false });
      expect(await find('founds')).toEqual({ names: ['founds'], hasMore: false });
      expect(await find('found.1')).toEqual({ names: [], hasMore: false });
      const some = await find('found:*', 2);
      expect([some.names.length, some.hasMore]).toEqual([2, true]);
    });

    test('how much there is', async () => {
      const before = await given().inspection.usage();
      await put('shown:7', fillOf('y'.repeat(100_000)));
      const after = await given().inspection.usage();
      expect(after.keys).toBeGreaterThan(before.keys);
      expect(after.bytes).toBeGreaterThan(before.bytes + 50_000);
      expect(after).toMatchObject({ evictions: 0, limitBytes: before.limitBytes });
    });
  });
}
