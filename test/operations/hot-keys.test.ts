import { expect, test } from '@jest/globals';
import { HotKeys } from '../../src/operations/hot-keys.ts';

/** The keys that are read most, in bounded memory. */

test('shares of what is held, the hottest first', () => {
  const keys = new HotKeys(10);
  for (const [key, count] of [
    ['a', 1],
    ['b', 6],
    ['c', 3],
  ] as const)
    keys.count(key, count);
  expect(keys.hottest(2)).toEqual([
    { key: 'b', share: 0.6 },
    { key: 'c', share: 0.3 },
  ]);
});

test('a key that is read often is found among many that are read once, wherever it comes', () => {
  const keys = new HotKeys(20);
  for (let round = 0; round < 2_000; round += 1) {
    keys.count(`cold:${round}`, 1);
    if (round % 5 === 0) keys.count('hot', 1);
  }
  expect(keys.hottest(1)[0]?.key).toBe('hot');
  expect(keys.hottest(100)).toHaveLength(20);
});

test('what was read earlier counts for less, and goes at last', () => {
  const keys = new HotKeys(10);
  keys.count('before', 8);
  keys.fade(0.5);
  keys.count('now', 6);
  expect(keys.hottest(2).map(({ key }) => key)).toEqual(['now', 'before']);
  for (let round = 0; round < 10; round += 1) keys.fade(0.5);
  expect(keys.hottest(2)).toEqual([]);
});
