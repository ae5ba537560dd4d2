import { expect, test } from '@jest/globals';
import { WaitingLine } from '../../src/database/waiting-line.ts';

test('tells how long the next one would wait: nothing while a connection is free, turns that stand before, hangs', async () => {
  let now = 0;
  const line = new WaitingLine(2, () => now);
  const turns = Array.from({ length: 2 }, () => Promise.withResolvers<void>());
  const taken = turns.map(({ promise }) => line.take(() => promise));
  expect([line.used, line.waiting, line.expectedMs]).toEqual([2, 0, 0]);
  const free = Promise.withResolvers<string>();
  const waits = [line.wait(free.promise), line.wait(free.promise)];
  // Nothing is known of turns yet, and nobody has waited.
  expect([line.waiting, line.expectedMs]).toEqual([2, 0]);
  now = 70;
  // The first of them has been waiting since.
  expect(line.expectedMs).toBe(70);
  for (const { resolve } of turns) resolve();
  await Promise.all(taken);
  // Two are about to get the connections that are free.
  expect([line.used, line.waiting, line.expectedMs]).toEqual([0, 2, 0]);
  free.resolve('a connection');
  expect(await Promise.all(waits)).toEqual(['a connection', 'a connection']);
  expect(line.waiting).toBe(0);

  // Turns of 100 ms, so often that the average is near them.
  for (let count = 0; count < 100; count += 1) {
    await line.take(async () => {
      now += 100;
    });
  }
  const busy = Array.from({ length: 2 }, () => line.take(() => new Promise(() => undefined)));
  const queue = Array.from({ length: 6 }, () => line.wait(new Promise(() => undefined)));
  expect([busy.length, queue.length]).toEqual([2, 6]);
  // Six turns of 100 ms on two connections.
  expect(line.expectedMs).toBeCloseTo(300, 0);
});

test('who fails to wait or to use a connection has left the line', async () => {
  const line = new WaitingLine(1, () => 0);
  await expect(line.wait(Promise.reject(new Error('gone')))).rejects.toThrow('gone');
  await expect(line.take(() => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect([line.used, line.waiting]).toEqual([0, 0]);
});
