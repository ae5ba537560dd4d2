import fc from 'fast-check';

/**
 * How long a campaign of fuzzing lasts and what it begins with. A few seconds each in a run of all tests; `npm run fuzz` sets more.
 * What fails is made smaller, and printed with the seed and the path by which `FUZZ_SEED` and `FUZZ_PATH` find it again.
 */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 5);
const seed = Number(process.env['FUZZ_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const path = process.env['FUZZ_PATH'];

/** How long a test of a campaign may take. */
export const campaignTimeoutMs = seconds * 1_000 + 60_000;

/** Tries cases until its time is over; at least one. */
export async function campaign<T>(
  name: string,
  cases: fc.Arbitrary<T>,
  holds: (value: T) => Promise<void>,
): Promise<void> {
  let count = 0;
  const property = fc.asyncProperty(cases, async (value) => {
    count += 1;
    await holds(value);
  });
  await fc.assert(property, {
    seed,
    ...(path === undefined ? {} : { path }),
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: seconds * 1_000,
    markInterruptAsFailure: false,
  });
  console.log(`fuzzing ${name}: ${count} cases within ${seconds} s, seed ${seed}`);
}
