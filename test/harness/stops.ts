import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { type LeakCheck, trackLeaks } from './leaks.ts';

/**
 * For the top of a test file: a list for what its tests open. After each test all of it is stopped, the last first; after
 * the last test nothing may be open that was not open before the first, `patienceMs` later at the latest.
 */
export function stopAfterEach(patienceMs?: number): (() => Promise<void>)[] {
  const stops: (() => Promise<void>)[] = [];
  let leaks: LeakCheck;
  beforeAll(() => {
    leaks = trackLeaks(patienceMs);
  });
  afterEach(async () => {
    for (const stop of stops.splice(0).toReversed()) await stop();
  });
  afterAll(() => leaks.check());
  return stops;
}
