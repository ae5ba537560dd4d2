import { describe, expect, test } from '@jest/globals';
import type { Loaded } from '../../src/cache/read-through.ts';
import { counted, openEngine, published } from '../harness/engine.ts';
import { settle } from '../harness/manual-clock.ts';

/** A load that ends when the test says so. */
function held(text: string) {
  const { promise, resolve, reject } = Promise.withResolvers<Loaded>();
  const load = (): Promise<Loaded> => {
    load.count += 1;
    return promise;
  };
  load.count = 0;
  load.finish = (): void => resolve({ value: Buffer.from(text), meta: 'm', ttlMs: 60_000 });
  load.fail = reject;
  return load;
}

describe('reading through the cache', () => {
  test('a miss loads and fills; the next read is a hit that was validated and not loaded', async () => {
    const { cache, store } = openEngine();
    const load = counted('v');
    expect(await cache.read('k', load)).toMatchObject({
      outcome: { kind: 'loaded', stored: true },
      collapsed: false,
      meta: 'm',
    });
    const hit = await cache.read('k', load);
    expect(hit).toMatchObject({ outcome: { kind: 'hit' }, meta: 'm' });
    expect(hit.value.toString()).toBe('v');
    expect(load.count).toBe(1);
    expect(store.asked).toEqual(['read', 'acquire', 'fill', 'validate']);
  });

  test('what another instance filled is read from the store, then served from memory after validation', async () => {
    const { cache, beside } = openEngine();
    const other = beside();
    await cache.read('k', counted('v'));
    const load = counted('never');
    const first = await other.cache.read('k', load);
    const second = await other.cache.read('k', load);
    expect([first, second].map(({ value }) => value.toString())).toEqual(['v', 'v']);
    expect(load.count).toBe(0);
    expect(other.store.asked).toEqual(['read', 'validate']);
    expect(second.value).toBe(first.value);
  });

  test('bytes in memory are never served once their version is not the current one', async () => {
    const { cache, beside } = openEngine();
    const other = beside();
    await cache.read('k', counted('old'));
    await other.cache.read('k', counted('old'));
    await other.cache.write(async (beforeCommit) => beforeCommit(['k'], async () => undefined));
    expect((await cache.read('k', counted('new'))).value.toString()).toBe('new');
    expect((await other.cache.read('k', counted('never'))).value.toString()).toBe('new');
  });

  test('requests of one turn share one load; one that comes while it runs gets a later answer', async () => {
    const { cache } = openEngine();
    const load = held('v');
    const early = [cache.read('k', load), cache.read('k', load), cache.read('k', load)];
    await settle();
    const late = cache.read('k', counted('never'));
    load.finish();
    const answers = await Promise.all(early);
    expect(answers.map(({ collapsed }) => collapsed)).toEqual([false, true, true]);
    expect(load.count).toBe(1);
    expect(await late).toMatchObject({ outcome: { kind: 'hit' } });
  });

  test('an entry lives at most its time to live, less a jitter of up to a tenth, and memory forgets it with the store', async () => {
    const { cache, clock } = openEngine();
    clock.chance = 0.999;
    const load = counted('v', { ttlMs: 10_000 });
    await cache.read('k', load);
    await clock.advance(8_000);
    const { outcome } = await cache.read('k', load);
    expect(outcome).toEqual({ kind: 'hit', ttlMs: 9_001 - 8_000 });
    await clock.advance(1_001);
    expect(await cache.read('k', load)).toMatchObject({ outcome: { kind: 'loaded' } });
    expect(load.count).toBe(2);
  });

  test('while most reads miss, the lease is asked for at once; a value that is there is a hit all the same', async () => {
    const { cache, store, beside } = openEngine();
    for (let count = 0; count < 100; count += 1) await cache.read(`k${count}`, counted('v'));
    await beside().cache.read('theirs', counted('theirs'));
    store.asked.length = 0;
    const never = counted('never');
    expect(await cache.read('theirs', never)).toMatchObject({ outcome: { kind: 'hit' } });
    expect(store.asked).toEqual(['acquire']);
    expect(never.count).toBe(0);
    expect(await cache.read('theirs', never)).toMatchObject({ outcome: { kind: 'hit' } });
    expect(store.asked).toEqual(['acquire', 'validate']);
  });

  test('once reads hit again, a value is read without asking for the lease', async () => {
    const { cache, store, beside } = openEngine();
    for (let count = 0; count < 100; count += 1) await cache.read(`k${count}`, counted('v'));
    const other = beside().cache;
    for (let count = 0; count < 50; count += 1) {
      await other.read(`l${count}`, counted('v'));
      await cache.read(`l${count}`, counted('never'));
    }
    expect(store.asked.slice(-1)).toEqual(['read']);
  });

  test('while another instance loads, a reader waits, and gets what that one filled', async () => {
    const { cache, clock, beside } = openEngine();
    const load = held('v');
    const loading = cache.read('k', load);
    await settle();
    const never = counted('never');
    const events = await published(async () => {
      const waiting = beside().cache.read('k', never);
      await settle();
      expect(clock.waiting).toBeGreaterThan(0);
      load.finish();
      await loading;
      await clock.advance(60);
      expect((await waiting).value.toString()).toBe('v');
    });
    expect(never.count).toBe(0);
    expect(events).toContainEqual({ type: 'wait', key: 'k', waitedMs: expect.any(Number) });
  });

  test('a wait ends with the lease: past its bound the reader loads by itself and does not fill', async () => {
    const { cache, clock, shared } = openEngine();
    await shared.acquire('k', 5_000);
    const load = counted('mine');
    const reading = cache.read('k', load);
    await clock.advance(1_100);
    expect(await reading).toMatchObject({ outcome: { kind: 'bypass', reason: 'wait-expired' } });
    expect(load.count).toBe(1);
    expect(await shared.read('k')).toBeNull();
  });

  test('the lease of a loader that died goes to a waiter, which fills', async () => {
    const { cache, clock, shared } = openEngine();
    await shared.acquire('k', 100);
    const reading = cache.read('k', counted('mine'));
    await clock.advance(150);
    expect(await reading).toMatchObject({ outcome: { kind: 'loaded', stored: true } });
  });

  test('while a write is between fence and release, readers load and do not fill', async () => {
    const { cache, shared } = openEngine();
    await shared.fence(['k'], 'writer', 30_000);
    expect(await cache.read('k', counted('v'))).toMatchObject({ outcome: { kind: 'bypass', reason: 'fenced' } });
    await shared.release(['k'], 'writer');
    expect(await shared.read('k')).toBeNull();
  });

  test('a value that was loaded before an invalidation is answered and not stored', async () => {
    const { cache, shared } = openEngine();
    const load = held('old');
    const events = await published(async () => {
      const reading = cache.read('k', load);
      await settle();
      await cache.invalidate(['k']);
      load.finish();
      expect(await reading).toMatchObject({ outcome: { kind: 'loaded', stored: false } });
    });
    expect(events).toContainEqual({ type: 'fill-rejected', key: 'k', reason: 'lease-lost' });
    expect(await shared.read('k')).toBeNull();
    expect((await cache.read('k', counted('new'))).value.toString()).toBe('new');
  });

  test('a load that fails fails for all who wait for it, and gives the lease back', async () => {
    const { cache, store } = openEngine();
    const load = held('v');
    const reading = [cache.read('k', load), cache.read('k', load)];
    await settle();
    store.cut.add('surrender');
    load.fail(new Error('database down'));
    for (const each of reading) await expect(each).rejects.toThrow('database down');
    store.cut.clear();
    const again = held('v');
    const second = cache.read('other', again);
    await settle();
    again.fail(new Error('still down'));
    await expect(second).rejects.toThrow('still down');
    expect(await cache.read('other', counted('v'))).toMatchObject({ outcome: { kind: 'loaded', stored: true } });
  });

  test.each(['read', 'acquire', 'validate'] as const)(
    'without the store (%s fails) a read goes to the database',
    async (step) => {
      const { cache, store } = openEngine();
      if (step === 'validate') await cache.read('k', counted('v'));
      store.cut.add(step);
      const load = counted('fresh');
      expect(await cache.read('k', load)).toMatchObject({ outcome: { kind: 'bypass', reason: 'store-unavailable' } });
      expect(load.count).toBe(1);
    },
  );

  test('a fill that does not reach the store leaves a right answer', async () => {
    const { cache, store } = openEngine();
    store.cut.add('fill');
    expect(await cache.read('k', counted('v'))).toMatchObject({ outcome: { kind: 'loaded', stored: false } });
    expect(cache.memory.size).toBe(0);
  });

  test('an error of the store that is no outage is not hidden', async () => {
    const { cache, store } = openEngine();
    store.read = () => Promise.reject(new TypeError('bug'));
    await expect(cache.read('k', counted('v'))).rejects.toThrow('bug');
    const second = openEngine();
    second.store.fill = () => Promise.reject(new TypeError('bug in fill'));
    await expect(second.cache.read('k', counted('v'))).rejects.toThrow('bug in fill');
  });

  test('memory is bounded in bytes', async () => {
    const { cache } = openEngine({ memoryBytes: 20_000 });
    for (let count = 0; count < 200; count += 1) await cache.read(`k${count}`, counted('x'.repeat(1_000)));
    expect(cache.memory.bytes).toBeLessThanOrEqual(20_000);
    expect(cache.memory.size).toBeGreaterThan(5);
  });

  test('tells what it does: miss and fill, hit in memory, hit in the store, bypass', async () => {
    const { cache, beside, shared } = openEngine();
    const events = await published(async () => {
      await cache.read('k', counted('v'));
      await cache.read('k', counted('v'));
      await beside().cache.read('k', counted('v'));
      await shared.fence(['k'], 'writer', 100);
      await cache.read('k', counted('v'));
    });
    expect(events).toEqual([
      { type: 'miss', key: 'k' },
      { type: 'fill', key: 'k', bytes: 1, loadMs: 0, negative: false },
      { type: 'hit', key: 'k', tier: 'memory', negative: false, requests: 1 },
      { type: 'hit', key: 'k', tier: 'store', negative: false, requests: 1 },
      { type: 'bypass', key: 'k', reason: 'fenced' },
    ]);
  });

  test('tells of a negative entry that it is one', async () => {
    const { cache } = openEngine();
    const events = await published(async () => {
      for (let turn = 0; turn < 2; turn += 1) await cache.read('k', counted('null'));
    });
    expect(events).toMatchObject([
      { type: 'miss' },
      { type: 'fill', negative: true },
      { type: 'hit', tier: 'memory', negative: true },
    ]);
  });

  test('the ping is the ping of the store', async () => {
    const { cache, store } = openEngine();
    await expect(cache.ping()).resolves.toBeUndefined();
    store.cut.add('ping');
    await expect(cache.ping()).rejects.toThrow('ping cannot be reached');
  });
});
