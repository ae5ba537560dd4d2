import { describe, expect, test } from '@jest/globals';
import type { Loaded } from '../../src/cache/read-through.ts';
import { counted, openEngine, published } from '../harness/engine.ts';
import { settle } from '../harness/manual-clock.ts';
import { Segmented, textOf } from '../harness/segmented.ts';

/** An engine that holds `cached` under `k`, and audits the hits whose draw is 0.999 or more. */
async function engineThatHolds(cached: string) {
  const engine = openEngine({ auditShare: 0.001 });
  await engine.cache.read('k', counted(cached));
  engine.clock.chance = 0.999;
  return engine;
}

const audits = (run: () => Promise<unknown>) =>
  published(async () => {
    await run();
    await settle();
  }).then((events) => events.filter(({ type }) => type === 'audit'));

describe('the audit', () => {
  test('a difference in what was put together takes its segments away too', async () => {
    const engine = openEngine({ auditShare: 0.001 });
    const source = new Segmented({ a: 'a1', b: 'b1' });
    const composition = engine.cache.composition(source);
    await source.read(engine.cache, composition);
    // Behind the back of the service.
    source.database.set('s:b', 'b2');
    engine.clock.chance = 0.999;
    expect(await audits(() => source.read(engine.cache, composition))).toEqual([
      { type: 'audit', key: 'all', differs: true },
    ]);
    engine.clock.chance = 0;
    expect(textOf(await source.read(engine.cache, composition))).toBe('a1 b2');
  });

  test('compares a hit that was drawn with the database; equal bytes are no difference', async () => {
    const { cache } = await engineThatHolds('same');
    const load = counted('same');
    expect(await audits(() => cache.read('k', load))).toEqual([{ type: 'audit', key: 'k', differs: false }]);
    expect(load.count).toBe(1);
    expect(await cache.read('k', counted('never'))).toMatchObject({ outcome: { kind: 'hit' } });
  });

  test('leaves all other hits alone, and all of them when its share is 0', async () => {
    const { cache, clock } = await engineThatHolds('old');
    clock.chance = 0.998;
    expect(await audits(() => cache.read('k', counted('new')))).toEqual([]);
    const off = openEngine({ auditShare: 0 });
    await off.cache.read('k', counted('old'));
    off.clock.chance = 0.999_999;
    expect(await audits(() => off.cache.read('k', counted('new')))).toEqual([]);
  });

  test('finds what was changed behind the back of the service, and mends it, for hits in memory and in the store', async () => {
    const { cache, beside } = await engineThatHolds('old');
    expect(await audits(() => beside().cache.read('k', counted('new')))).toEqual([
      { type: 'audit', key: 'k', differs: true },
    ]);
    expect((await cache.read('k', counted('new'))).value.toString()).toBe('new');
  });

  test('a part that differs takes its name and all parts with it', async () => {
    const { cache, clock } = openEngine({ auditShare: 0.001 });
    await cache.read('list#1', counted('old'));
    await cache.read('list', counted('old'));
    clock.chance = 0.999;
    expect(await audits(() => cache.read('list#1', counted('new')))).toHaveLength(1);
    clock.chance = 0;
    expect((await cache.read('list', counted('new'))).value.toString()).toBe('new');
  });

  test('a write that commits between the hit and the comparison is no difference', async () => {
    const { cache } = await engineThatHolds('old');
    const { promise, resolve } = Promise.withResolvers<Loaded>();
    const found = await audits(async () => {
      await cache.read('k', () => promise);
      await cache.write(async (beforeCommit) => beforeCommit(['k'], async () => undefined));
      resolve({ value: Buffer.from('new'), meta: 'm', ttlMs: 60_000 });
    });
    expect(found).toEqual([{ type: 'audit', key: 'k', differs: false }]);
  });

  test('one at a time, and after one that took a while a hundred times as long nothing', async () => {
    const { cache, clock } = await engineThatHolds('same');
    const slow = async (): Promise<Loaded> => {
      await clock.sleep(10);
      return { value: Buffer.from('same'), meta: 'm', ttlMs: 60_000 };
    };
    await cache.read('k', slow);
    expect(await audits(() => cache.read('k', counted('same')))).toEqual([]);
    await clock.advance(10);
    expect(await audits(() => cache.read('k', counted('same')))).toEqual([]);
    await clock.advance(989);
    expect(await audits(() => cache.read('k', counted('same')))).toEqual([]);
    await clock.advance(1);
    expect(await audits(() => cache.read('k', counted('same')))).toHaveLength(1);
  });

  test('a database that is away says nothing; closing waits for a comparison under way', async () => {
    const { cache } = await engineThatHolds('old');
    const { promise, reject } = Promise.withResolvers<Loaded>();
    await cache.read('k', () => promise);
    let closed = false;
    const closing = cache.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    expect(
      await audits(async () => {
        reject(new Error('database down'));
        await closing;
      }),
    ).toEqual([]);
  });
});
