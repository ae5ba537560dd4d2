import { describe, expect, test } from '@jest/globals';
import { Rope } from '../../src/cache/rope.ts';
import { openEngine, published } from '../harness/engine.ts';
import { Segmented, textOf } from '../harness/segmented.ts';
import { settle } from '../harness/manual-clock.ts';

function open(names = 'abc') {
  const engine = openEngine();
  const source = new Segmented(Object.fromEntries(names.split('').map((name) => [name, `${name}1`])));
  const composition = engine.cache.composition(source);
  const read = () => source.read(engine.cache, composition);
  return { ...engine, source, composition, read };
}

describe('a value that is put together from segments', () => {
  test('is loaded segment by segment, then served from memory after one validation', async () => {
    const { source, store, read } = open();
    expect(await read()).toMatchObject({ outcome: { kind: 'loaded', stored: true }, meta: 'of s:a s:b s:c' });
    expect(source.taken()).toEqual(['segments', 's:a', 's:b', 's:c']);
    store.asked.length = 0;
    const hit = await read();
    expect([textOf(hit), hit.outcome.kind]).toEqual(['a1 b1 c1', 'hit']);
    expect(store.asked).toEqual(['validate']);
  });

  test('after a write only the segment that was touched is loaded', async () => {
    const { cache, source, read } = open();
    await read();
    await source.write(cache, 'b', 'b2');
    source.taken();
    const answer = await read();
    expect([textOf(answer), answer.outcome.kind]).toEqual(['a1 b2 c1', 'loaded']);
    expect(source.taken()).toEqual(['segments', 's:b']);
  });

  test('another instance puts the bytes of a current version together without the database', async () => {
    const { beside, source, read } = open();
    await read();
    source.taken();
    const other = beside();
    const answer = await source.read(other.cache, other.cache.composition(source));
    expect([textOf(answer), answer.outcome.kind]).toEqual(['a1 b1 c1', 'hit']);
    expect(source.taken()).toEqual([]);
  });

  test('another instance that misses a segment loads it, and says so', async () => {
    const { beside, shared, source, read } = open();
    await read();
    await shared.release(['s:c'], shared.unique());
    source.taken();
    const other = beside();
    const answer = await source.read(other.cache, other.cache.composition(source));
    expect(answer.outcome).toEqual({ kind: 'loaded', stored: true });
    expect(source.taken()).toEqual(['s:c']);
  });

  test('two changes in the order in which they were made are never seen the other way round', async () => {
    const { cache, source, read } = open();
    await read();
    await source.write(cache, 'c', 'c2');
    // While `c` is loaded, `a` (which was read already) and then `c` are changed: `a1 … c3` never was.
    let once = true;
    source.during = async (what) => {
      if (what !== 's:c' || !once) return;
      once = false;
      await source.write(cache, 'a', 'a2');
      await source.write(cache, 'c', 'c3');
    };
    expect(textOf(await read())).toBe('a2 b1 c3');
  });

  test('a version that changes while its bytes are put together is not answered with', async () => {
    const { cache, beside, shared, source, read } = open();
    await read();
    await shared.release(['s:c'], shared.unique());
    const other = beside();
    let once = true;
    source.during = async (what) => {
      if (what !== 's:c' || !once) return;
      once = false;
      await source.write(cache, 'a', 'a2');
    };
    expect(textOf(await source.read(other.cache, other.cache.composition(source)))).toBe('a2 b1 c1');
  });

  test('a version whose bytes someone has changed behind the back of the service is not answered with', async () => {
    const { beside, shared, source, read } = open();
    source.isTagged = true;
    await read();
    source.database.set('s:c', 'c2');
    await shared.release(['s:c'], shared.unique());
    const other = beside();
    const answer = await source.read(other.cache, other.cache.composition(source));
    expect(answer).toMatchObject({ meta: 'of s:a s:b s:c = a1 b1 c2', outcome: { kind: 'loaded', stored: true } });
    expect(await read()).toMatchObject({ meta: answer.meta, outcome: { kind: 'hit' } });
  });

  test('while a write is committing only what it touches is loaded, in one statement', async () => {
    const { cache, source, read } = open();
    await read();
    const seen: string[] = [];
    await source.write(cache, 'b', 'b2', async () => {
      source.taken();
      const answer = await read();
      seen.push(textOf(answer), answer.outcome.kind, ...source.taken());
    });
    expect(seen).toEqual(['a1 b1 c1', 'bypass', 'together s:b']);
    expect(textOf(await read())).toBe('a1 b2 c1');
  });

  test('what changes meanwhile beside a committing write is looked up again', async () => {
    const { cache, beside, source, read } = open('abcdefg');
    await read();
    const other = beside();
    const seen: string[] = [];
    await source.write(cache, 'b', 'b2', async () => {
      let once = true;
      source.during = async (what) => {
        if (!what.startsWith('together') || !once) return;
        once = false;
        await source.write(other.cache, 'a', 'a2');
        await source.write(other.cache, 'h', 'h1');
      };
      source.taken();
      seen.push(textOf(await read()), ...source.taken());
    });
    expect(seen).toEqual(['a2 b1 c1 d1 e1 f1 g1 h1', 'together s:b', 'together s:a s:b', 'together s:a s:b s:h']);
  });

  test('who is overtaken again and again goes on beside the writers', async () => {
    const { cache, source, read } = open();
    await read();
    await source.write(cache, 'a', 'a2');
    let count = 0;
    source.during = async (what) => {
      if (what !== 'segments') return;
      count += 1;
      await source.write(cache, 'b', `b${count}`);
    };
    const answer = await read();
    expect([textOf(answer), answer.outcome]).toEqual(['a2 b3 c1', { kind: 'bypass', reason: 'contended' }]);
  });

  test('is loaded whole when it is not worth segments, and its bytes are stored at once', async () => {
    const { shared, source, read } = open();
    source.isWhole = true;
    expect(textOf(await read())).toBe('a1 b1 c1');
    expect(source.taken()).toEqual(['segments', 'whole']);
    expect((await shared.read('all'))?.value.toString()).toBe('a1 b1 c1');
  });

  test('is loaded whole beside a write when most is missing, or is not worth segments any more', async () => {
    const { cache, source, shared, read } = open();
    await read();
    const seen: string[] = [];
    await source.write(cache, 'b', 'b2', async () => {
      source.taken();
      source.isWhole = true;
      seen.push(textOf(await read()), ...source.taken());
      source.isWhole = false;
      await shared.release(['s:a', 's:c'], shared.unique());
      seen.push(textOf(await read()), ...source.taken());
    });
    expect(seen).toEqual(['a1 b1 c1', 'together s:b', 'whole', 'a1 b1 c1', 'whole']);
  });

  test('is loaded whole when the store is away, from the first or from the second look on', async () => {
    const { cache, source, store, read } = open();
    await read();
    const seen: string[] = [];
    await source.write(cache, 'b', 'b2', async () => {
      source.taken();
      source.during = async (what) => void (what.startsWith('together') && store.cut.add('validate'));
      seen.push(textOf(await read()), ...source.taken());
    });
    expect(seen).toEqual(['a1 b1 c1', 'together s:b', 'whole']);
    store.cut.add('read').add('acquire');
    const answer = await read();
    expect([textOf(answer), answer.outcome]).toEqual(['a1 b2 c1', { kind: 'bypass', reason: 'store-unavailable' }]);
  });

  test('a database that fails beside a write fails the read', async () => {
    const { cache, source, read } = open();
    await read();
    await source.write(cache, 'b', 'b2', async () => {
      source.during = () => Promise.reject(new Error('gone'));
      await expect(read()).rejects.toThrow('gone');
      source.during = async () => undefined;
    });
  });

  test('the string under the key is written once the value has been left alone for a while', async () => {
    const { cache, clock, shared, source, read } = open();
    await read();
    expect(await shared.read('all')).toBeNull();
    await clock.advance(300);
    await source.write(cache, 'a', 'a2');
    await read();
    await clock.advance(300);
    expect(await shared.read('all')).toBeNull();
    await clock.advance(300);
    expect((await shared.read('all'))?.value.toString()).toBe('a2 b1 c1');
    expect((await shared.read('all'))?.version).toBe(await shared.validate('all'));
  });

  test('a value that is too long for a string is not written as one', async () => {
    const { cache, clock, shared, source, store } = open();
    const piece = Buffer.alloc(1024 * 1024);
    source.join = (keys) => ({
      value: new Rope(
        Array.from({ length: 257 }, () => piece),
        [],
      ),
      meta: `of ${keys.join(' ')}`,
      ttlMs: 600_000,
    });
    await source.read(cache, cache.composition(source));
    await clock.advance(300_000);
    expect(store.asked).not.toContain('attach');
    expect(await shared.validate('all')).not.toBeNull();
  });

  test('the string is left out while the store is away', async () => {
    const { clock, shared, store, read } = open();
    await read();
    store.cut.add('attach');
    await clock.advance(1_000);
    expect(store.asked).toContain('attach');
    expect(await shared.read('all')).toBeNull();
    expect((await read()).outcome.kind).toBe('hit');
  });

  test('lives no longer than the oldest of its segments, which all go at once', async () => {
    const { cache, clock, source, read } = open();
    clock.chance = 0.5;
    await read();
    await clock.advance(50_000);
    await source.write(cache, 'b', 'b2');
    await read();
    source.taken();
    await clock.advance(9_000);
    expect((await read()).outcome.kind).toBe('hit');
    // A value of its own would live for 60 s, less the jitter.
    await clock.advance(1_001);
    expect((await read()).outcome.kind).toBe('loaded');
    expect(source.taken()).toEqual(['segments', 's:a', 's:c']);
  });

  test('is loaded anew ahead of its expiry like any other', async () => {
    const { clock, source, read } = open();
    source.during = () => clock.advance(1_000);
    await read();
    source.during = async () => undefined;
    const ahead = (await read()).outcome;
    await clock.advance((ahead.kind === 'hit' ? ahead.ttlMs : 0) - 500);
    source.taken();
    clock.chance = 0.9;
    const events = await published(async () => {
      expect((await read()).outcome.kind).toBe('hit');
      await settle();
    });
    expect(events.map(({ type }) => type)).toContain('refresh');
    expect(source.taken()).toContain('segments');
  });
});
