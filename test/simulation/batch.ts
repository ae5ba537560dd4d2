import type { Mutation } from './mutation.ts';
import { simulate } from './simulation.ts';

/** Seeds one after the other, beginning with `from`. */
export interface Batch {
  readonly from: number;
  readonly count: number;
}

export interface Played {
  readonly counts: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly seed: number; readonly reason: string }[];
}

/** Plays a batch to its end, whatever is found. */
export async function playBatch({ from, count }: Batch, mutation?: Mutation): Promise<Played> {
  const counts = new Map<string, number>();
  const failures: { seed: number; reason: string }[] = [];
  for (let seed = from; seed < from + count; seed += 1) {
    try {
      addCounts(counts, await simulate(seed, { mutation }));
    } catch (error) {
      addCounts(counts, { seeds: 1 });
      failures.push({ seed, reason: String(error) });
    }
  }
  return { counts: Object.fromEntries(counts), failures };
}

/** The first seed whose violation reads like `wanted`, with what it was; `undefined` when there is none. */
export async function findViolation(
  { from, count }: Batch,
  mutation: Mutation,
  wanted: RegExp,
): Promise<string | undefined> {
  for (let seed = from; seed < from + count; seed += 1) {
    const { failures } = await playBatch({ from: seed, count: 1 }, mutation);
    const [failure] = failures;
    if (failure !== undefined && wanted.test(failure.reason)) return `seed ${seed}: ${failure.reason}`;
  }
  return undefined;
}

export function addCounts(totals: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [what, count] of Object.entries(counts)) totals.set(what, (totals.get(what) ?? 0) + count);
}
