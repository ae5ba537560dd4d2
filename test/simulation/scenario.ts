import { Random } from './random.ts';

/** The conditions of one run, drawn from its seed. Each run has some kinds of faults and not others (swarm testing). */
export interface Scenario {
  readonly instances: number;
  readonly requests: number;
  /** The longest usual pause between two requests, in milliseconds. */
  readonly gapMs: number;
  readonly writes: number;
  readonly outsideWrites: boolean;
  readonly withoutStore: 'accept' | 'reject';
  readonly ttlMs: number;
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly memoryBytes: number;
  readonly auditShare: number;
  readonly slowCommits: number;
  readonly deadlocks: number;
  readonly redisDelayMs: number;
  readonly databaseDelayMs: number;
  readonly faults: readonly FaultKind[];
  readonly mostFaults: number;
  /** Whether the list is put together from segments. */
  readonly composed: boolean;
  /** How many replicas answer loads. */
  readonly replicas: number;
}

export const faultKinds = [
  'crash',
  'pause',
  'redis link lost',
  'redis link held',
  'redis restart',
  'redis restart empty',
  'redis promoted anew',
  'redis left',
  'flush',
  'evict',
  'evict fences',
  'scripts forgotten',
  'database link lost',
  'database restart',
  'database failover',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export function drawScenario(seed: number): Scenario {
  const random = new Random(seed ^ 0x5ca1ab1e);
  const calm = random.chance(0.15);
  const failover = !calm && random.chance(0.1);
  const usual = faultKinds.filter(
    (kind) => kind !== 'database failover' && random.chance(kind === 'redis left' ? 0.1 : 0.4),
  );
  return {
    instances: 2 + random.below(2),
    requests: 20 + random.below(60),
    gapMs: random.pick([0.5, 3, 20, 100]),
    writes: random.pick([0.1, 0.3, 0.5]),
    outsideWrites: !failover && !usual.includes('redis left') && random.chance(0.15),
    withoutStore: failover || random.chance(0.5) ? 'reject' : 'accept',
    ttlMs: random.pick([20, 100, 1_000, 60_000, 60_000, 60_000]),
    leaseMs: random.pick([20, 200, 1_000]),
    sweepMs: random.pick([100, 400, 1_000]),
    memoryBytes: random.pick([1_000, 100_000]),
    auditShare: random.pick([0, 0, 0.3]),
    slowCommits: random.pick([0, 0.05, 0.4]),
    deadlocks: random.pick([0, 0, 0.02]),
    redisDelayMs: random.pick([0.2, 0.5, 2]),
    databaseDelayMs: random.pick([0.2, 1, 5]),
    faults: calm ? [] : failover ? [...usual, 'database failover', 'database failover'] : usual,
    mostFaults: calm ? 0 : 1 + random.below(8),
    composed: random.chance(0.6),
    replicas: random.pick([0, 1, 2]),
  };
}

/** Deadlines, in milliseconds: those of the product, made shorter and kept in proportion. */
export const limits = {
  fenceMs: 6_000,
  timeoutMs: 50,
  bulkTimeoutMs: 150,
  connectTimeoutMs: 400,
  statementTimeoutMs: 800,
  lockWaitMs: 400,
  commitTimeoutMs: 1_500,
  /** A COMMIT is not under way for longer, from its sending to its effect or the end of its transaction. */
  longestCommitMs: 2_000,
  noticeMs: 1_000,
  longestPauseMs: 1_000,
  mostPauses: 2,
  longestHoldMs: 1_200,
  longestDownMs: 1_500,
  /** How long it takes at most until all know of a claim: the lease, and what keeps them from asking. */
  longestBlurMs: 5_000,
} as const;
