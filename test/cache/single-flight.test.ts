import { describe, expect, test } from '@jest/globals';
import { SingleFlight } from '../../src/cache/single-flight.ts';
import { settle } from '../harness/manual-clock.ts';

/** Work whose end is in the hands of the test. */
function controlled(): {
  work: () => Promise<number>;
  finish: (value: number) => void;
  fail: (error: Error) => void;
  began: () => number;
} {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let count = 0;
  const work = (): Promise<number> => {
    count += 1;
    return promise;
  };
  return { work, finish: resolve, fail: reject, began: () => count };
}

const clock = { soon: (task: () => void) => void setImmediate(task) };

describe('single-flight', () => {
  test('callers of one turn share one flight; only the first leads', async () => {
    const flights = new SingleFlight<number>(clock);
    const { work, finish, began } = controlled();
    const joined = [1, 2, 3].map(() => flights.fly('k', work));
    expect(joined.map(({ leads }) => leads)).toEqual([true, false, false]);
    await settle();
    expect(began()).toBe(1);
    finish(7);
    expect(await Promise.all(joined.map(({ landed }) => landed))).toEqual([7, 7, 7]);
    expect(flights.size).toBe(0);
  });

  test('nobody joins work that has begun: later callers share the next flight, which begins when the first has landed', async () => {
    const flights = new SingleFlight<number>(clock);
    const [first, second, third] = [controlled(), controlled(), controlled()];
    const early = flights.fly('k', first.work);
    await settle();
    const late = flights.fly('k', second.work);
    const later = flights.fly('k', third.work);
    expect([late.leads, later.leads]).toEqual([true, false]);
    await settle();
    expect(second.began()).toBe(0);
    first.finish(1);
    expect(await early.landed).toBe(1);
    await settle();
    expect([second.began(), third.began()]).toEqual([1, 0]);
    second.finish(2);
    expect(await Promise.all([late.landed, later.landed])).toEqual([2, 2]);
  });

  test('a failure reaches all who boarded, and the next flight takes off all the same', async () => {
    const flights = new SingleFlight<number>(clock);
    const [first, second] = [controlled(), controlled()];
    const early = flights.fly('k', first.work);
    const beside = flights.fly('k', first.work);
    await settle();
    const late = flights.fly('k', second.work);
    first.fail(new Error('down'));
    await expect(early.landed).rejects.toThrow('down');
    await expect(beside.landed).rejects.toThrow('down');
    await settle();
    second.finish(2);
    expect(await late.landed).toBe(2);
    expect(flights.size).toBe(0);
  });

  test('keys do not wait for each other, and flights of one turn take off together', async () => {
    const flights = new SingleFlight<number>(clock);
    const began: string[] = [];
    const turns: string[] = [];
    const fly = (key: string): void => {
      flights.fly(key, async () => {
        began.push(key);
        return 1;
      });
    };
    fly('a');
    setImmediate(() => turns.push(began.join('')));
    fly('b');
    await settle();
    expect(turns).toEqual(['ab']);
  });
});
