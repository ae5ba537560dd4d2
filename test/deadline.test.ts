import { stat } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { withDeadline } from '../src/deadline.ts';

const never = new Promise<string>(() => undefined);

describe('a deadline', () => {
  test('settles like the promise that is in time', async () => {
    expect(await withDeadline(10_000, Promise.resolve('in time'), () => 'late')).toBe('in time');
    await expect(withDeadline(10_000, Promise.reject(new Error('failed')), () => 'late')).rejects.toThrow('failed');
  });

  test('settles as it was told when the time is up', async () => {
    expect(await withDeadline(1, never, () => 'late')).toBe('late');
    const late = withDeadline(1, never, () => {
      throw new RangeError('too late');
    });
    await expect(late).rejects.toThrow(new RangeError('too late'));
  });

  test('an answer that came while this process was busy still counts', async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const waiting = withDeadline(5, promise, () => 'late');
    // Both are due when the event loop turns again: first it runs the timers, then it delivers what came from outside.
    stat(import.meta.filename, () => resolve('from outside'));
    const busyUntil = performance.now() + 20;
    while (performance.now() < busyUntil);
    expect(await waiting).toBe('from outside');
  });
});
