import { describe, expect, test } from '@jest/globals';
import type { HeldEntry } from '../../src/cache/memory-tier.ts';
import type { Found } from '../../src/cache/store.ts';
import { counted, openEngine, published } from '../harness/engine.ts';
import { settle } from '../harness/manual-clock.ts';

/** A reader that writes down what it is told. */
function listening() {
  const told: string[] = [];
  return {
    told,
    hit: (held: HeldEntry, ttlMs: number): void => void told.push(`${held.value.toString()} for ${ttlMs}`),
    miss: (): void => void told.push('miss'),
  };
}

/** An engine that holds `k`, and a way to ask it. */
async function holding() {
  const engine = openEngine();
  await engine.cache.read('k', counted('v', { ttlMs: 60_000 }));
  engine.store.asked.length = 0;
  const ask = (key = 'k') => {
    const reader = listening();
    return { ...reader, isAsked: engine.cache.readFast(key, counted('never'), reader) };
  };
  return { ...engine, ask };
}

/** Validations that are answered when the test says so. */
function holdValidations(store: Awaited<ReturnType<typeof holding>>['store']) {
  const confirm = store.confirm.bind(store);
  const waiting: (() => void)[] = [];
  store.confirm = async (claims, tell) => {
    const found: (boolean | undefined)[] = [];
    await confirm(claims, (_, isCurrent) => found.push(isCurrent));
    await new Promise<void>((resolve) => waiting.push(resolve));
    for (const [at, isCurrent] of found.entries()) tell(at, isCurrent);
  };
  return waiting;
}

describe('reads of what this process holds', () => {
  test('those of one turn share one validation', async () => {
    const { store, ask } = await holding();
    const readers = [ask(), ask(), ask()];
    expect(store.asked).toEqual([]);
    await settle();
    expect(store.asked).toEqual(['confirm']);
    for (const { told } of readers) expect(told).toEqual(['v for 60000']);
  });

  test('those of other keys go out together, and gather while some are in the air, but not for long', async () => {
    const { cache, store, clock, ask } = await holding();
    for (const key of ['l', 'm', 'n', 'o']) await cache.read(key, counted(key, { ttlMs: 60_000 }));
    store.asked.length = 0;
    const waiting = holdValidations(store);
    const first = [ask(), ask('l')];
    await settle();
    const second = [ask('m'), ask('n')];
    await settle();
    expect(store.asked).toEqual(['confirm']);
    await clock.advance(1.5);
    const third = ask('o');
    await settle();
    expect(store.asked).toEqual(['confirm', 'confirm']);
    for (const each of waiting) each();
    await settle();
    expect([...first, ...second, third].map(({ told }) => told.length)).toEqual([1, 1, 1, 1, 1]);
  });

  test('more than goes into one command goes into several', async () => {
    const { cache, store, ask } = await holding();
    const keys = Array.from({ length: 501 }, (_, index) => `k${index}`);
    await Promise.all(keys.map((key) => cache.read(key, counted(key, { ttlMs: 60_000 }))));
    store.asked.length = 0;
    const readers = keys.map((key) => ask(key));
    await settle();
    expect(store.asked).toEqual(['confirm', 'confirm']);
    for (const { told } of readers) expect(told).toHaveLength(1);
  });

  test('nobody joins a validation that is in the air: who comes meanwhile shares the next', async () => {
    const { store, ask } = await holding();
    const waiting = holdValidations(store);
    const first = ask();
    await settle();
    const [second, third] = [ask(), ask()];
    await settle();
    expect(store.asked).toEqual(['confirm']);
    waiting[0]?.();
    await settle();
    expect([first.told, second.told]).toEqual([['v for 60000'], []]);
    expect(store.asked).toEqual(['confirm', 'confirm']);
    waiting[1]?.();
    await settle();
    expect([second.told, third.told]).toEqual([['v for 60000'], ['v for 60000']]);
  });

  test('who came before a change that was made while the validation was out is told what the store said', async () => {
    const { cache, store, ask } = await holding();
    const waiting = holdValidations(store);
    const early = ask();
    await settle();
    await cache.invalidate(['k']);
    const late = ask();
    waiting[0]?.();
    await settle();
    waiting[1]?.();
    await settle();
    expect([early.told, late.told]).toEqual([['v for 60000'], ['miss']]);
  });

  test('another version and an entry that ran out on the way are misses', async () => {
    const changed = await holding();
    await changed.beside().cache.invalidate(['k']);
    const late = await holding();
    const waiting = holdValidations(late.store);
    const readers = [changed, late].map(({ ask }) => ask());
    await late.clock.advance(60_000);
    for (const each of waiting) each();
    await settle();
    for (const { told } of readers) expect(told).toEqual(['miss']);
  });

  test('a store that does not answer is not asked a second time on the whole way', async () => {
    const { cache, store, ask } = await holding();
    store.cut.add('confirm');
    const { told } = ask();
    await settle();
    expect(told).toEqual(['miss']);
    store.asked.length = 0;
    expect((await cache.read('k', counted('loaded'))).outcome).toEqual({ kind: 'bypass', reason: 'store-unavailable' });
    expect(store.asked).toEqual([]);
    expect((await cache.read('k', counted('never'))).outcome.kind).toBe('hit');
  });

  test('a hit is told once for those who share it, considered for an audit, and refreshed near its expiry', async () => {
    const { cache, clock } = openEngine({ auditShare: 0.001 });
    const first = cache.read('k', async () => {
      await clock.sleep(100);
      return { value: Buffer.from('v'), meta: 'm', ttlMs: 10_000 };
    });
    await clock.advance(100);
    await first;
    await clock.advance(9_950);
    clock.chance = 0.999;
    const load = counted('v');
    const events = await published(async () => {
      for (let count = 0; count < 3; count += 1) cache.readFast('k', load, listening());
      await settle();
    });
    expect(events.map(({ type }) => type).toSorted()).toEqual(['audit', 'fill', 'hit', 'refresh']);
    expect(events[0]).toEqual({ type: 'hit', key: 'k', tier: 'memory', negative: false, requests: 3 });
    expect(load.count).toBe(2);
  });

  test('nothing is asked for what is known to be absent, or is being read the whole way', async () => {
    const { cache, ask, store } = await holding();
    await cache.read('absent', counted('null'));
    expect(ask('absent').isAsked).toBe(false);
    const reading = cache.read('k', counted('never'));
    expect(ask().isAsked).toBe(false);
    await reading;
    const { isAsked, told } = ask();
    expect(isAsked).toBe(true);
    await settle();
    expect(told).toEqual(['v for 60000']);
    expect(store.asked.filter((step) => step === 'confirm' || step === 'validate')).toEqual(['validate', 'confirm']);
  });
});

describe('reads of what the store holds', () => {
  /** An instance beside one that has filled `k`, and a way to ask it. */
  async function besideHolder() {
    const engine = await holding();
    const { cache, store } = engine.beside();
    const ask = (key = 'k') => {
      const reader = listening();
      return { ...reader, isAsked: cache.readFast(key, counted('never'), reader) };
    };
    return { ...engine, cache, store, ask };
  }

  /** Reads that are answered when the test says so. */
  function holdReads(store: Awaited<ReturnType<typeof besideHolder>>['store']) {
    const readAll = store.readAll.bind(store);
    const waiting: (() => void)[] = [];
    store.readAll = async (keys, tell) => {
      const all: Found[] = [];
      await readAll(keys, (_, found) => all.push(found));
      await new Promise<void>((resolve) => waiting.push(resolve));
      for (const [at, found] of all.entries()) tell(at, found);
    };
    return waiting;
  }

  test('those of one turn share one read, which is told as a hit in the store; then it is held', async () => {
    const { cache, store, ask } = await besideHolder();
    await cache.read('l', counted('l', { ttlMs: 60_000 }));
    store.asked.length = 0;
    const readers = [ask(), ask()];
    const events = await published(() => settle());
    expect(store.asked).toEqual(['readAll']);
    expect(events).toEqual([{ type: 'hit', key: 'k', tier: 'store', negative: false, requests: 2 }]);
    const again = ask();
    await settle();
    expect(store.asked).toEqual(['readAll', 'confirm']);
    for (const { told } of [...readers, again]) expect(told).toEqual(['v for 60000']);
  });

  test('nobody joins a read that is in the air: who comes after a change does not see what was before', async () => {
    const { cache, store, ask } = await besideHolder();
    const waiting = holdReads(store);
    const early = ask();
    await settle();
    await cache.invalidate(['k']);
    const late = ask();
    await settle();
    expect(store.asked.filter((step) => step === 'readAll')).toHaveLength(1);
    waiting[0]?.();
    await settle();
    waiting[1]?.();
    await settle();
    expect([early.told, late.told]).toEqual([['v for 60000'], ['miss']]);
  });

  test('what ran out on the way is a miss', async () => {
    const { store, clock, ask } = await besideHolder();
    const waiting = holdReads(store);
    const { told } = ask();
    await clock.advance(60_000);
    waiting[0]?.();
    await settle();
    expect(told).toEqual(['miss']);
  });

  test('what is not there is a miss, and the whole way need not look for it again', async () => {
    const { cache, store, ask } = await besideHolder();
    const none = ask('none');
    await settle();
    store.asked.length = 0;
    expect((await cache.read('none', counted('loaded'))).outcome).toEqual({ kind: 'loaded', stored: true });
    expect([none.told, store.asked]).toEqual([['miss'], ['acquire', 'fill']]);
  });

  test('a negative entry is a miss on the short way, and is held from then on', async () => {
    const engine = await holding();
    await engine.cache.read('absent', counted('null'));
    const { cache, store } = engine.beside();
    const reader = listening();
    expect(cache.readFast('absent', counted('never'), reader)).toBe(true);
    await settle();
    expect(reader.told).toEqual(['miss']);
    expect((await cache.read('absent', counted('never'))).outcome.kind).toBe('hit');
    expect(store.asked).toEqual(['readAll', 'validate']);
  });

  test('a store that does not answer is not asked a second time on the whole way', async () => {
    const { cache, store, ask } = await besideHolder();
    store.cut.add('readAll');
    const { told } = ask();
    await settle();
    store.asked.length = 0;
    expect((await cache.read('k', counted('loaded'))).outcome).toEqual({ kind: 'bypass', reason: 'store-unavailable' });
    expect([told, store.asked]).toEqual([['miss'], []]);
  });

  test('what is known of keys that nobody comes for is bounded', async () => {
    const { cache, store, ask } = await besideHolder();
    for (let count = 0; count < 1_001; count += 1) ask(`none${count}`);
    await settle();
    store.asked.length = 0;
    await cache.read('none0', counted('v'));
    await cache.read('none1000', counted('v'));
    expect(store.asked).toEqual(['read', 'acquire', 'fill', 'acquire', 'fill']);
  });
});
