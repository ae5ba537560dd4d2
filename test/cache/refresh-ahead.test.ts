import { describe, expect, test } from '@jest/globals';
import type { Loaded } from '../../src/cache/read-through.ts';
import { isRefreshDue } from '../../src/cache/refresh-ahead.ts';
import { counted, openEngine, published } from '../harness/engine.ts';
import { settle } from '../harness/manual-clock.ts';

describe('when a value is loaded anew before it expires', () => {
  test('never while the expiry is far away, always when it has come, whatever is drawn', () => {
    for (const draw of [0, 0.5, 0.999_999_999]) {
      expect(isRefreshDue(60_000, 100, draw)).toBe(false);
      expect(isRefreshDue(0, 100, draw)).toBe(true);
    }
  });

  test('the likelihood is that of XFetch: exp(-ttl / load time)', () => {
    let state = 1;
    const random = (): number => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647;
    };
    for (const [ttlMs, loadMs] of [
      [100, 100],
      [200, 100],
      [30, 100],
    ] as const) {
      const draws = 20_000;
      let due = 0;
      for (let count = 0; count < draws; count += 1) if (isRefreshDue(ttlMs, loadMs, random())) due += 1;
      expect(due / draws).toBeCloseTo(Math.exp(-ttlMs / loadMs), 1);
    }
  });
});

describe('refreshing ahead', () => {
  /** An engine whose load took 100 ms, 50 ms before the entry expires, with a draw that makes the refresh due. */
  async function nearExpiry() {
    const engine = openEngine();
    const { cache, clock } = engine;
    const first = cache.read('k', async () => {
      await clock.sleep(100);
      return { value: Buffer.from('first'), meta: 'm', ttlMs: 10_000 };
    });
    await clock.advance(100);
    await first;
    await clock.advance(9_950);
    clock.chance = 0.9;
    return engine;
  }

  test('a hot entry near its expiry is loaded in the background, once, while everyone keeps hitting', async () => {
    const { cache, clock } = await nearExpiry();
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    let loads = 0;
    const load = (): Promise<Loaded> => {
      loads += 1;
      return promise;
    };
    const events = await published(async () => {
      for (let hits = 0; hits < 3; hits += 1) {
        const answer = await cache.read('k', load);
        expect([answer.outcome.kind, answer.value.toString()]).toEqual(['hit', 'first']);
      }
    });
    expect(loads).toBe(1);
    expect(events.filter(({ type }) => type === 'refresh')).toEqual([{ type: 'refresh', key: 'k' }]);
    resolve({ value: Buffer.from('second'), meta: 'm', ttlMs: 10_000 });
    await settle();
    await clock.advance(60);
    clock.chance = 0;
    const after = await cache.read('k', counted('never'));
    expect([after.outcome.kind, after.value.toString()]).toEqual(['hit', 'second']);
  });

  test('what another instance holds is refreshed by one of them only', async () => {
    const { cache, beside } = await nearExpiry();
    const other = beside();
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    await cache.read('k', () => promise);
    await settle();
    const never = counted('never');
    const answer = await other.cache.read('k', never);
    await settle();
    expect([answer.outcome.kind, answer.value.toString(), never.count]).toEqual(['hit', 'first', 0]);
    resolve({ value: Buffer.from('second'), meta: 'm', ttlMs: 10_000 });
    await settle();
    expect((await other.cache.read('k', never)).value.toString()).toBe('second');
  });

  test('a refresh that fails, or finds a fence, is no concern of the reader', async () => {
    const { cache, store } = await nearExpiry();
    const failing = async (): Promise<Loaded> => Promise.reject(new Error('database down'));
    expect((await cache.read('k', failing)).value.toString()).toBe('first');
    await settle();
    store.cut.add('acquire');
    expect((await cache.read('k', failing)).value.toString()).toBe('first');
    await settle();
    store.cut.clear();
    expect((await cache.read('k', counted('again'))).value.toString()).toBe('first');
    await settle();
    expect((await cache.read('k', counted('never'))).value.toString()).toBe('again');
  });

  test('a refresh that an invalidation overtakes stores nothing', async () => {
    const { cache, shared } = await nearExpiry();
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    await cache.read('k', () => promise);
    await settle();
    await cache.invalidate(['k']);
    resolve({ value: Buffer.from('old'), meta: 'm', ttlMs: 10_000 });
    await settle();
    expect(await shared.read('k')).toBeNull();
  });
});
