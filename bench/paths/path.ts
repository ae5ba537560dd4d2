import type { Rounds } from '../rounds.ts';
import type { Stage } from '../stage/stage.ts';

/** One path through the service that is measured. */
export interface Path {
  readonly name: string;
  readonly title: string;
  /** The candidate to which all others are put into relation. */
  readonly base: string;
  /** The figure that is compared; greater is better, unless it is a time or a cost. */
  readonly figure: 'rate' | 'ms' | 'p99' | 'redisCpu';
  readonly targets: readonly Target[];
  run(stage: Stage, options: Options): Promise<Rounds>;
}

/** The figure of a candidate in relation to another one's, or itself. */
export interface Target {
  readonly candidate: string;
  readonly to?: string;
  readonly figure: string;
  readonly least?: number;
  readonly most?: number;
}

export interface Options {
  readonly rounds: number;
  /** Of one measurement under load. */
  readonly seconds: number;
  readonly withPeers: boolean;
  /** Folders in which the service was built, by the name of the candidate; for the comparison of two commits. */
  readonly checkouts: ReadonlyMap<string, string>;
}

export const service = 'energex';
