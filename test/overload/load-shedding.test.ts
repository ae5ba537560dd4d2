import { describe, expect, test } from '@jest/globals';
import { DropProbability, updateMs } from '../../src/overload/drop-probability.ts';
import { LoadShedding } from '../../src/overload/load-shedding.ts';

describe('the share that is refused', () => {
  test('rises while the delay is above the target, and falls below it', () => {
    const share = new DropProbability(25);
    const after = (updates: number, delayMs: number): number => {
      for (let count = 0; count < updates; count += 1) share.update(delayMs);
      return share.value;
    };
    expect(after(100, 10)).toBe(0);
    const risen = after(5, 50);
    expect(risen).toBeGreaterThan(0.1);
    expect(after(5, 50)).toBeGreaterThan(risen);
    // Never all: somebody has to find out that there is time again.
    expect(after(1_000, 10_000)).toBe(0.98);
    const fallen = after(5, 0);
    expect(fallen).toBeLessThan(0.98);
    expect(after(100, 0)).toBe(0);
  });

  test('settles where the delay is at its target', () => {
    // Each request in a hundred that is let through costs the event loop a millisecond: 25 ms leave room for a quarter.
    const share = new DropProbability(25);
    for (let count = 0; count < 500; count += 1) share.update(100 * (1 - share.value));
    expect(share.value).toBeGreaterThan(0.7);
    expect(share.value).toBeLessThan(0.8);
  });
});

/** A clock whose timer is as late as it is told. */
class LateClock {
  time = 0;
  chance = 0;
  tick: (() => void) | undefined;
  /** What happens between two ticks. */
  meanwhile = (): void => undefined;
  readonly now = (): number => this.time;
  readonly random = (): number => this.chance;
  readonly every = (ms: number, task: () => void): (() => void) => {
    expect(ms).toBe(updateMs);
    this.tick = task;
    return () => {
      this.tick = undefined;
    };
  };

  late(byMs: number, times = 1): void {
    for (let count = 0; count < times; count += 1) {
      this.meanwhile();
      this.time += updateMs + byMs;
      this.tick?.();
    }
  }
}

describe('load shedding', () => {
  const open = (delayMs: number | undefined, isBusy = (): boolean => false) => {
    const clock = new LateClock();
    return { clock, shedding: new LoadShedding(delayMs, isBusy, clock) };
  };

  /** As many as there must be for it to be them who make it late. */
  const crowd = (shedding: LoadShedding) => () => {
    for (let count = 0; count < 10; count += 1) shedding.refuse(false);
  };

  test('one long turn of the event loop is no overload, a row of them is', () => {
    const { clock, shedding } = open(25);
    clock.meanwhile = crowd(shedding);
    clock.late(0, 10);
    clock.late(5_000);
    expect(shedding.refuse(true)).toBeUndefined();
    clock.late(0, 10);
    clock.late(60, 4);
    expect(shedding.refuse(true)).toBeUndefined();
    clock.late(60, 20);
    expect(shedding.refuse(false)).toBe('event-loop');
    clock.chance = 0.99;
    expect(shedding.refuse(false)).toBeUndefined();
    clock.chance = 0;
    clock.late(0, 100);
    expect(shedding.refuse(true)).toBeUndefined();
  });

  test('when hardly anybody asks it is not they who make it late', () => {
    const { clock, shedding } = open(25);
    clock.late(1_000, 50);
    expect(shedding.refuse(true)).toBeUndefined();
    clock.meanwhile = crowd(shedding);
    clock.late(1_000, 50);
    expect(shedding.refuse(true)).toBe('event-loop');
    clock.meanwhile = () => undefined;
    clock.late(1_000, 100);
    expect(shedding.refuse(true)).toBeUndefined();
  });

  test('what needs the database is refused while that is busy, and nothing else', () => {
    let isBusy = true;
    const { clock, shedding } = open(undefined, () => isBusy);
    clock.late(5_000, 50);
    expect([shedding.refuse(true), shedding.refuse(false)]).toEqual(['database', undefined]);
    isBusy = false;
    expect(shedding.refuse(true)).toBeUndefined();
  });

  test('stops looking at the clock', () => {
    const { clock, shedding } = open(25);
    shedding.stop();
    expect(clock.tick).toBeUndefined();
  });
});
