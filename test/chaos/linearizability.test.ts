import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Chance } from './chance.ts';
import { shrinkViolation } from './excerpt.ts';
import { History, type ListRead, type Operation, type Value } from './history.ts';
import { checkRegister } from './linearizability.ts';
import { findMixedList } from './snapshots.ts';

type Outcome = Operation['outcome'];

function operation(
  kind: Operation['kind'],
  value: Value,
  [invokedAt, respondedAt]: readonly [number, number],
  outcome: Outcome = 'ok',
): Operation {
  const end = outcome === 'unknown' ? Infinity : respondedAt;
  return { key: '1', kind, value, invokedAt, respondedAt: end, outcome, by: 'client' };
}

const read = (value: Value, ...span: readonly [number, number]): Operation => operation('read', value, span);
const write = (value: Value, ...span: readonly [number, number]): Operation => operation('write', value, span);
const unknown = (value: Value, at: number): Operation => operation('write', value, [at, at], 'unknown');
const failed = (value: Value, ...span: readonly [number, number]): Operation =>
  operation('write', value, span, 'failed');

const kindOf = (history: readonly Operation[]): string => checkRegister(history).kind;

describe('histories that a register can have', () => {
  test.each<[string, Operation[]]>([
    ['no operation', []],
    ['nothing was there at first', [read(null, 1, 2)]],
    ['a read after the write', [write('a', 1, 2), read('a', 3, 4)]],
    ['a read beside the write, of either value', [write('a', 1, 9), read(null, 2, 3), read('a', 4, 5)]],
    ['two writes beside each other, in either order', [write('a', 1, 9), write('b', 1, 9), read('b', 10, 11)]],
    ['an order that only a later read tells', [write('a', 1, 9), write('b', 1, 9), read('b', 2, 3), read('a', 4, 12)]],
    ['a read that ends when the write begins', [write('a', 5, 9), read(null, 1, 5)]],
    ['a deletion', [write('a', 1, 2), write(null, 3, 4), read(null, 5, 6)]],
    ['a failed write that nobody sees', [write('a', 1, 2), failed('b', 3, 4), read('a', 5, 6)]],
    ['an unknown write that never shows', [write('a', 1, 2), unknown('b', 3), read('a', 5, 6), read('a', 50, 60)]],
    ['an unknown write that shows at once', [write('a', 1, 2), unknown('b', 3), read('b', 5, 6)]],
    ['an unknown write that shows much later', [unknown('b', 1), write('a', 2, 3), read('a', 5, 6), read('b', 50, 60)]],
    [
      'an unknown write over which another one goes',
      [unknown('b', 1), read('b', 2, 3), write('a', 4, 5), read('a', 6, 7)],
    ],
    ['an unknown deletion that shows later', [write('a', 1, 2), unknown(null, 3), read('a', 4, 5), read(null, 6, 7)]],
    ['the same value written twice', [write('a', 1, 2), write('b', 3, 4), write('a', 5, 6), read('a', 7, 8)]],
    [
      'a value that an unknown write may have restored',
      [write('a', 1, 2), unknown('a', 2), write('b', 3, 4), read('a', 7, 8)],
    ],
  ])('%s', (_, history) => {
    expect(kindOf(history)).toBe('linearizable');
  });
});

describe('histories that no register can have', () => {
  test.each<[string, Operation[]]>([
    ['a value that nobody wrote', [read('a', 1, 2)]],
    ['a stale read after the acknowledgement', [write('a', 1, 2), write('b', 3, 4), read('a', 5, 6)]],
    [
      'a read that goes backwards while the write is under way',
      [write('a', 1, 2), write('b', 3, 20), read('b', 5, 6), read('a', 7, 8)],
    ],
    ['a lost write', [write('a', 1, 2), read(null, 3, 4)]],
    ['a failed write that shows', [failed('a', 1, 2), read('a', 3, 4)]],
    ['a read from before its write', [read('a', 1, 2), write('a', 3, 4)]],
    ['a read from before its unknown write', [read('a', 1, 2), unknown('a', 3)]],
    [
      'an unknown write that was seen and then unseen',
      [write('a', 1, 2), unknown('b', 3), read('b', 5, 6), read('a', 7, 8)],
    ],
    [
      'an unknown write that shows twice',
      [unknown('b', 1), read('b', 2, 3), write('a', 4, 5), read('a', 6, 7), read('b', 8, 9)],
    ],
    ['a deletion that was taken back', [write('a', 1, 2), write(null, 3, 4), read('a', 5, 6)]],
    [
      'two readers that disagree on the order',
      [write('a', 1, 9), write('b', 1, 9), read('a', 10, 11), read('b', 12, 13)],
    ],
    [
      'an unknown deletion that shows twice',
      [write('a', 1, 2), unknown(null, 3), read(null, 4, 5), write('b', 6, 7), read(null, 8, 9)],
    ],
  ])('%s', (_, history) => {
    expect(kindOf(history)).toBe('violation');
  });

  test('the operation that has no place is named, and the excerpt keeps only what proves it', () => {
    const stale = read('a', 50, 60);
    const around = Array.from({ length: 30 }, (_, index) => read('b', 30 + index / 10, 31 + index));
    const history = [write('a', 1, 2), write('b', 20, 21), ...around, stale, read('b', 70, 80), write('c', 90, 91)];
    const verdict = checkRegister(history);
    expect(verdict).toEqual({ kind: 'violation', at: stale });
    expect(shrinkViolation(history, stale)).toEqual([write('a', 1, 2), write('b', 20, 21), stale]);
  });

  test('a search that would take too long says so', () => {
    const writes = Array.from({ length: 12 }, (_, index) => write(String(index), 0, 10));
    const reads = Array.from({ length: 12 }, (_, index) => read(String(index), 11 + index, 11.5 + index));
    expect(checkRegister([...writes, ...reads], null, 1_000).kind).toBe('undecided');
  });
});

/** Tries every order. The reference: as slow as it is obvious. */
function bruteForce(history: readonly Operation[]): boolean {
  const pending = history.filter(({ outcome }) => outcome !== 'failed');
  const extend = (left: readonly Operation[], value: Value): boolean =>
    left.every(({ outcome }) => outcome === 'unknown') ||
    left.some((next) => {
      const rest = left.filter((each) => each !== next);
      if (rest.some((other) => other.respondedAt < next.invokedAt)) return false;
      return next.kind === 'write' ? extend(rest, next.value) : next.value === value && extend(rest, value);
    });
  return extend(pending, null);
}

const someValue = fc.constantFrom<Value>('a', 'b', 'c', null);
const someOperation = fc
  .record({
    kind: fc.constantFrom('read' as const, 'write' as const),
    value: someValue,
    from: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 0, max: 6 }),
    outcome: fc.constantFrom<Outcome>('ok', 'ok', 'ok', 'ok', 'unknown', 'failed'),
  })
  .map(({ kind, value, from, length, outcome }) =>
    operation(kind, value, [from, from + length], kind === 'read' ? 'ok' : outcome),
  );

/** Many clients at a register that takes its time before and after the instant at which it does what it is told. */
function playRegister(operations: number, clients: number, chance: Chance): Operation[] {
  type Step = { readonly at: number; act(): void };
  const history: Operation[] = [];
  const steps: Step[] = [];
  let register: Value = null;
  for (let client = 0; client < clients; client += 1) {
    let now = chance.next();
    for (let count = 0; count < operations / clients; count += 1) {
      const invokedAt = now;
      const at = invokedAt + chance.next();
      const respondedAt = at + chance.next();
      const isUnknown = chance.next() < 0.02;
      const value = `${client}-${count}`;
      const kind = chance.next() < 0.3 ? 'write' : 'read';
      const act = (): void => {
        if (kind === 'read') history.push(read(register, invokedAt, respondedAt));
        else if (isUnknown && chance.next() < 0.5) history.push(unknown(value, invokedAt));
        else {
          register = chance.next() < 0.05 ? null : value;
          history.push(isUnknown ? unknown(register, invokedAt) : write(register, invokedAt, respondedAt));
        }
      };
      steps.push({ at, act });
      now = respondedAt + chance.next() * 0.3;
    }
  }
  for (const { act } of steps.sort((a, b) => a.at - b.at)) act();
  return history;
}

describe('against other ways to know', () => {
  test('says the same as trying every order', () => {
    let bad = 0;
    fc.assert(
      fc.property(fc.array(someOperation, { maxLength: 7 }), (history) => {
        const expected = bruteForce(history);
        if (!expected) bad += 1;
        expect(kindOf(history)).toBe(expected ? 'linearizable' : 'violation');
      }),
      { numRuns: 5_000 },
    );
    // Neither answer is rare, or the comparison would mean little.
    expect(bad).toBeGreaterThan(500);
    expect(bad).toBeLessThan(4_500);
  });

  test('the history of a real register always passes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        expect(kindOf(playRegister(300, 8, new Chance(seed)))).toBe('linearizable');
      }),
      { numRuns: 50 },
    );
  });

  test('one stale read in thirty thousand operations is found, and all of it takes seconds at most', () => {
    const history = playRegister(30_000, 12, new Chance(1));
    const began = performance.now();
    expect(kindOf(history)).toBe('linearizable');
    expect(performance.now() - began).toBeLessThan(10_000);
    const last = Math.max(...history.filter(({ outcome }) => outcome === 'ok').map((each) => each.respondedAt));
    const old = history.find(({ kind, value }) => kind === 'read' && value !== null);
    expect(kindOf([...history, read(old?.value ?? 'none', last + 1, last + 2)])).toBe('violation');
  });
});

describe('what a list tells', () => {
  const list = (rows: Record<string, Value>, complete: boolean, ...span: readonly [number, number]): ListRead => ({
    rows: new Map(Object.entries(rows)),
    complete,
    invokedAt: span[0],
    respondedAt: span[1],
    by: 'client',
  });
  const history = (...lists: ListRead[]): History => {
    const made = new History();
    made.track('1', 'a');
    made.track('2', 'x');
    made.add(write('b', 10, 11));
    made.add({ ...write('y', 20, 21), key: '2' });
    made.lists.push(...lists);
    return made;
  };

  test('each of its rows is a read, and so is a row that is missing in a list that is complete', () => {
    expect(
      kindOf(
        history(list({ 1: 'b' }, false, 30, 31))
          .byKey()
          .get('1') ?? [],
      ),
    ).toBe('linearizable');
    expect(
      kindOf(
        history(list({ 1: 'a' }, false, 30, 31))
          .byKey()
          .get('1') ?? [],
      ),
    ).toBe('violation');
    expect(
      kindOf(
        history(list({ 1: 'b' }, false, 30, 31))
          .byKey()
          .get('2') ?? [],
      ),
    ).toBe('linearizable');
    expect(
      kindOf(
        history(list({ 1: 'b' }, true, 30, 31))
          .byKey()
          .get('2') ?? [],
      ),
    ).toBe('violation');
  });

  test('rows of different times are found, though each of them alone may be right', () => {
    const mixed = list({ 1: 'a', 2: 'y' }, true, 5, 25);
    const good = [
      list({ 1: 'a', 2: 'x' }, true, 5, 25),
      list({ 1: 'b', 2: 'x' }, true, 5, 25),
      list({ 1: 'b', 2: 'y' }, true, 5, 25),
    ];
    const lookAt = (given: History) => findMixedList(given.byKey(), given.lists);
    for (const each of good) expect(lookAt(history(each))).toBeUndefined();
    for (const [, own] of history(mixed).byKey()) expect(kindOf(own)).toBe('linearizable');
    expect(lookAt(history(...good, mixed))?.list).toBe(mixed);
  });

  test('a creation that was not answered belongs to the row in which its value is seen', () => {
    const made = history(list({ 3: 'new' }, true, 30, 31));
    made.track('3', null);
    made.addCreation({ value: 'new', invokedAt: 25, outcome: 'unknown', by: 'client' });
    expect(kindOf(made.byKey().get('3') ?? [])).toBe('linearizable');
    const refused = history(list({ 3: 'new' }, true, 30, 31));
    refused.track('3', null);
    refused.addCreation({ value: 'new', invokedAt: 25, outcome: 'failed', by: 'client' });
    expect(kindOf(refused.byKey().get('3') ?? [])).toBe('violation');
  });
});
