/**
 * Rounds: in each, every candidate is measured once, in an order that turns; so noise of the machine, which lasts for
 * seconds, hits all of them. What counts are the ratios within a round; of these the median, with the quartiles as spread.
 */
export interface Candidate {
  readonly name: string;
  measure(): Promise<Sample>;
}

/** Figures of one measurement by name: `rate` (per second), `cpu` (microseconds of the server per request) and so on. */
export type Sample = Readonly<Record<string, number>>;

export type Rounds = ReadonlyMap<string, readonly Sample[]>;

export async function runRounds(candidates: readonly Candidate[], rounds: number): Promise<Rounds> {
  const samples = new Map(candidates.map(({ name }): [string, Sample[]] => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let index = 0; index < candidates.length; index += 1) {
      const candidate = candidates[(index + round) % candidates.length];
      if (candidate !== undefined) samples.get(candidate.name)?.push(await candidate.measure());
    }
    process.stderr.write('.');
  }
  process.stderr.write('\n');
  return samples;
}

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Of what `figure` was in each round. */
export function spreadOf(samples: readonly Sample[] | undefined, figure: string): Spread {
  return spread((samples ?? []).map((sample) => sample[figure] ?? Number.NaN));
}

/** Of the ratios of two candidates within each round. */
export function ratioOf(rounds: Rounds, name: string, to: string, figure: string): Spread {
  const base = rounds.get(to) ?? [];
  return spread(
    (rounds.get(name) ?? []).map((sample, at) => (sample[figure] ?? Number.NaN) / (base[at]?.[figure] ?? 0)),
  );
}

function spread(values: readonly number[]): Spread {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? Number.NaN;
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}
