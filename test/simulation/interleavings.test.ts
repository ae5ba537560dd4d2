import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Mutation, plans, play } from './world.ts';

/** `SIMULATION_RUNS` and `SIMULATION_SEED` in the environment make it longer, or repeat a run that failed. */
const numRuns = Number(process.env['SIMULATION_RUNS'] ?? 3_000);
const seed = Number(process.env['SIMULATION_SEED'] ?? Date.now() % 2 ** 31);

/** Finds each of the mutations below within a thousand runs or so. */
const mutationSeed = 3;

function explore(mutation: Mutation, runs: number, seed: number): Promise<void> {
  const property = fc.asyncProperty(plans, fc.scheduler(), (plan, scheduler) => play(plan, scheduler, mutation));
  return fc.assert(property, { numRuns: runs, seed, endOnFailure: true, includeErrorInReport: true });
}

describe(`every interleaving of readers and writers on three instances (seed ${seed})`, () => {
  test('no reader sees an older value than what was acknowledged or seen before it asked', async () => {
    await expect(explore('none', numRuns, seed)).resolves.toBeUndefined();
  }, 120_000);

  test.each(['no-fence', 'no-lease', 'no-validation'] as const)(
    'the exploration finds a stale read once a guard is taken out: %s',
    async (mutation) => {
      await expect(explore(mutation, 20_000, mutationSeed)).rejects.toThrow(/stale: read/);
    },
    120_000,
  );
});
