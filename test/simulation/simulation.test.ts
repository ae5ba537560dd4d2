import { describe, expect, test } from '@jest/globals';
import { playBatch } from './batch.ts';
import { faultKinds } from './scenario.ts';
import { simulate } from './simulation.ts';

/** `SIMULATION_SEEDS` and `SIMULATION_FROM` in the environment make it longer, or begin elsewhere. */
const count = Number(process.env['SIMULATION_SEEDS'] ?? 2_000);
const from = Number(process.env['SIMULATION_FROM'] ?? 1 + (Date.now() % 1_000_000) * 1_000);

async function logOf(seed: number): Promise<readonly string[]> {
  const lines: string[] = [];
  await simulate(seed, { log: (line) => lines.push(line) });
  return lines;
}

describe('the simulation', () => {
  test(`breaks no promise, whatever goes wrong (${count} seeds from ${from})`, async () => {
    const { counts, failures } = await playBatch({ from, count });
    expect(failures).toEqual([]);
    // It has met what it is to meet.
    expect(faultKinds.filter((kind) => counts[`fault: ${kind}`] === undefined)).toEqual([]);
    for (const outcome of ['hit', 'loaded', 'fenced', 'store-unavailable']) {
      expect(counts[`read: ${outcome}`]).toBeGreaterThan(count);
    }
  }, 120_000);

  test.each([1, 4, 24])('seed %i plays the same events each time', async (seed) => {
    const first = await logOf(seed);
    expect(first.length).toBeGreaterThan(100);
    expect(await logOf(seed)).toEqual(first);
  });
});
