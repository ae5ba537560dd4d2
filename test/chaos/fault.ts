import type { Chance } from './chance.ts';
import type { Cluster, ClusterPlan, Instance } from './cluster.ts';

/** Something that goes wrong for a while. */
export type Fault = {
  readonly name: string;
  /** How long it lasts between its begin and its end. A fence outlives it: `FENCE_MS` of the cluster is longer. */
  readonly lastsMs: number;
  /** Redis is out of reach meanwhile, for some instance or for all of them. */
  readonly losesRedis: boolean;
  /** Some instances can reach Redis and others can not. */
  readonly isAsymmetric: boolean;
  /** `one server`: anything but a Redis Cluster. */
  readonly redis: ClusterPlan['redis'] | 'any' | 'one server';
  /** Resolves when it has happened, with what ends it. That resolves when all that was broken is there again. */
  begin(cluster: Cluster, chance: Chance, writer: QuietWriter): Promise<() => Promise<void>>;
};

/**
 * Writes to rows that clients only read. What a fault does to the cache stays there then: on a row that others write, too,
 * they would wait for the lock, and take away what is stale as soon as they have it.
 */
export type QuietWriter = {
  /** Resolves when it was answered, if ever. */
  writeQuietly(instance: Instance): Promise<void>;
};

/** What all values of such writes begin with. */
export const quietPrefix = 'quiet-';
