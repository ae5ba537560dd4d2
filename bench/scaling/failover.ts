import type { Costs } from './parameters.ts';

/**
 * A failover, in steps of 10 ms and with averages, for what counts is how much is asked of the primary over some seconds, and
 * not in which order: reads of the lost keys go to it while their master is away, one at a time for each key and process,
 * and afterwards each lost key is loaded once.
 */
export interface Failover {
  readonly name: string;
  /** How long nothing is read from what has failed, in seconds. */
  readonly gapSeconds: number;
  /** Share of the keys that are lost. */
  readonly lost: number;
  /** Whether reads go to the primary meanwhile; otherwise what is cached is served. */
  readonly asksPrimary: boolean;
}

export interface Herd {
  readonly failover: string;
  readonly count: number;
  /** Most that is asked of the primary in the gap, of what it can do. */
  readonly demand: number;
  /** Share of all reads in the gap that are answered 503. */
  readonly refused: number;
  /** Loads of lost keys afterwards, and the most of them in a second. */
  readonly loads: number;
  readonly loadsPerSecond: number;
  /** From the end of the gap until 99 of 100 reads are hits. */
  readonly warmSeconds: number;
}

export interface Population {
  readonly count: number;
  /** Per second and instance. */
  readonly reads: number;
  readonly keys: number;
  readonly databaseProcessors: number;
}

/** The first two: the worst of docs/scaling.md, "What a failover costs". The last is no figure of ours: it depends on what promotes. */
export const failovers: readonly Failover[] = [
  { name: 'the only Redis', gapSeconds: 3, lost: 1, asksPrimary: true },
  { name: 'one master of six', gapSeconds: 3.7, lost: 1 / 6, asksPrimary: true },
  { name: 'the primary', gapSeconds: 10, lost: 1, asksPrimary: false },
];

export const population = { reads: 1_000, keys: 100_000, databaseProcessors: 16 };

const stepSeconds = 0.01;

export function playFailover(failover: Failover, people: Population, costs: Costs): Herd {
  const { count, reads, keys, databaseProcessors } = people;
  const asked = count * reads;
  const selects = (databaseProcessors * 1e6) / costs.databaseSelect;
  // Reads of single keys hardly meet: with as many keys as here, nearly each is a query of its own.
  const demand = failover.asksPrimary ? (asked * failover.lost) / selects : 0;
  const answered = Math.min(1, demand === 0 ? 1 : 1 / demand);
  const refused = failover.asksPrimary ? failover.lost * (1 - answered) : 0;
  let cold = keys * failover.lost;
  let loads = 0;
  let most = 0;
  let steps = 0;
  // A hundredth of the reads is of cold keys.
  while (cold > keys / 100) {
    const loaded = Math.min(cold, selects * stepSeconds, (asked * stepSeconds * cold) / keys);
    cold -= loaded;
    loads += loaded;
    most = Math.max(most, loaded / stepSeconds);
    steps += 1;
  }
  return {
    failover: failover.name,
    count,
    demand: short(demand),
    refused: short(refused),
    loads: Math.round(loads),
    loadsPerSecond: Math.round(most),
    warmSeconds: short(steps * stepSeconds),
  };
}

function short(value: number): number {
  return Number(value.toPrecision(3));
}
