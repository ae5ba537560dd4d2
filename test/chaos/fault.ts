import type { Chance } from './chance.ts';
import type { Cluster, ClusterPlan } from './cluster.ts';

/** Something that goes wrong for a while. */
export type Fault = {
  readonly name: string;
  /** How long it lasts between its begin and its end. A fence outlives it: `FENCE_MS` of the cluster is longer. */
  readonly lastsMs: number;
  /** Redis is out of reach meanwhile, for some instance or for all of them. */
  readonly losesRedis: boolean;
  /** Some instances can reach Redis and others can not. */
  readonly isAsymmetric: boolean;
  readonly redis: ClusterPlan['redis'] | 'any';
  /** Resolves when it has happened, with what ends it. That resolves when all that was broken is there again. */
  begin(cluster: Cluster, chance: Chance): Promise<() => Promise<void>>;
};
