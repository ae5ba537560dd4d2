import { describe, expect, test } from '@jest/globals';
import { systemClock } from '../../src/cache/clock.ts';

describe('the system clock', () => {
  test('never runs back, and a sleep lasts at least as long as it was told', async () => {
    const before = systemClock.now();
    await systemClock.sleep(20);
    // Timers may fire up to a millisecond early.
    expect(systemClock.now() - before).toBeGreaterThanOrEqual(19);
  });

  test('repeats a task until it is stopped', async () => {
    const ticks = Promise.withResolvers<void>();
    let count = 0;
    const stop = systemClock.every(1, () => {
      count += 1;
      if (count === 3) {
        stop();
        ticks.resolve();
      }
    });
    await ticks.promise;
    await systemClock.sleep(20);
    expect(count).toBe(3);
  });

  test('runs what comes soon after this turn, in order', async () => {
    const order: number[] = [];
    await new Promise<void>((resolve) => {
      systemClock.soon(() => order.push(1));
      systemClock.soon(() => {
        order.push(2);
        resolve();
      });
      expect(order).toEqual([]);
    });
    expect(order).toEqual([1, 2]);
  });

  test('chance lies in [0, 1)', () => {
    for (let count = 0; count < 100; count += 1) {
      expect(systemClock.random()).toBeGreaterThanOrEqual(0);
      expect(systemClock.random()).toBeLessThan(1);
    }
  });
});
