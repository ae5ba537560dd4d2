import type { Mutation } from './mutation.ts';
import type { FaultKind, Scenario } from './scenario.ts';

const busy: Partial<Scenario> = { requests: 60, writes: 0.3, gapMs: 3, ttlMs: 60_000 };
/** Loads and commits that take long beside the steps on Redis. */
const slowDatabase: Partial<Scenario> = { ...busy, databaseDelayMs: 5, redisDelayMs: 0.2, slowCommits: 0.4, gapMs: 20 };
/** Loads that replicas answer, which lag behind the last write. */
const replicated: Partial<Scenario> = { ...busy, replicas: 2, databaseDelayMs: 0.2, composed: false, auditShare: 0 };
const faulty = (...faults: FaultKind[]): Partial<Scenario> => ({ ...busy, faults, mostFaults: 6 });

/**
 * For each guard the change that takes it out, and what makes it likely that it is missed. `mutations.test.ts` shows that
 * each is found; where a guard is doubled by another one, both are taken out, and the comment says so.
 */
export const mutations: readonly Mutation[] = [
  {
    name: 'fence',
    scripts: [
      { file: 'fence', find: "keep_fences(guard_key, others == '' and own or others .. ' ' .. own)", replace: '' },
    ],
    scenario: slowDatabase,
  },
  {
    name: 'lease token',
    scripts: [
      {
        file: 'fill',
        find: 'if lease ~= token then',
        replace: 'if false then',
      },
    ],
    scenario: busy,
  },
  {
    // While a fence is open no lease is given out, and each that was is gone; so the check in fill alone is a second lock
    // on the same door. It is needed once acquire hands out leases under a fence.
    name: 'fence check in acquire and fill',
    scripts: [
      { file: 'acquire', find: "if open_of(stored[guard_key], '') ~= '' then", replace: 'if false then' },
      { file: 'fill', find: "if open_of(stored[guard_key], '') ~= '' then", replace: 'if false then' },
    ],
    scenario: slowDatabase,
  },
  {
    name: 'run id',
    flags: { sameRunId: true },
    scenario: faulty('redis restart'),
  },
  {
    name: 'replication id',
    flags: { sameReplicationId: true },
    scenario: faulty('redis promoted anew'),
  },
  {
    name: 'number of the claim',
    flags: { ignoresClaimNumber: true },
    scenario: { ...faulty('redis left'), gapMs: 100, requests: 80, redisDelayMs: 0.2 },
  },
  {
    name: 'lease of the claim',
    flags: { trustsUnsettledClaim: true },
    scenario: { ...faulty('redis left'), gapMs: 40, requests: 80, redisDelayMs: 0.2, withoutStore: 'reject' },
  },
  { name: 'no late join', flags: { lateJoin: true }, scenario: busy },
  {
    // A checksum tells a value of another version too; it is taken out as well.
    name: 'version before value',
    flags: { valueBeforeVersion: true },
    scenario: {
      ...faulty('redis link held'),
      mostFaults: 12,
      redisDelayMs: 0.2,
      databaseDelayMs: 0.2,
      memoryBytes: 1_000,
    },
  },
  {
    name: 'outbox before trust',
    flags: { noSweepBeforeTrust: true },
    scenario: {
      ...faulty('redis link lost'),
      withoutStore: 'accept',
      sweepMs: 1_000,
      gapMs: 20,
      mostFaults: 12,
      writes: 0.5,
    },
  },
  {
    name: 'sweep in the store that is in use',
    flags: { sweepsAnywhere: true },
    scenario: {
      ...faulty('redis left', 'database link lost'),
      mostFaults: 14,
      withoutStore: 'accept',
      sweepMs: 100,
      gapMs: 30,
      writes: 0.3,
      slowCommits: 0.4,
      redisDelayMs: 0.2,
    },
  },
  { name: 'unique versions', flags: { versionsReused: true }, scenario: busy },
  {
    name: 'own-fence-only release',
    scripts: [
      {
        file: 'release',
        find: 'keep_fences(guard_key, open_of(stored[guard_key], ARGV[4]))',
        replace: "keep_fences(guard_key, '')",
      },
    ],
    scenario: { ...slowDatabase, writes: 0.5, faults: [] },
  },
  { name: 'negative entry of a created row', flags: { forgetsNegativeEntry: true }, scenario: busy },
  { name: 'validation', flags: { noValidation: true }, scenario: busy },
  { name: 'held read that does not ask the store', flags: { heldReadsUnasked: true }, scenario: busy },
  {
    name: 'loss of the fence table',
    scripts: [
      {
        file: 'prelude',
        find: 'local settled = not lost and opens_at <= now',
        replace: 'local settled = true',
      },
    ],
    scenario: { ...faulty('evict fences', 'flush'), slowCommits: 0.4 },
  },
  { name: 'barrier', flags: { noBarrier: true }, scenario: { ...faulty('evict fences', 'flush'), slowCommits: 0.4 } },
  {
    name: 'identity of the database',
    flags: { sameOrigin: true },
    scenario: { ...faulty('database failover'), withoutStore: 'reject' },
  },
  { name: 'lease of what is put together', flags: { trustsTorn: true }, scenario: { ...slowDatabase, composed: true } },
  {
    // Its entity tag is a second lock on the same door.
    name: 'version and tag of what is put together',
    flags: { trustsComposed: true },
    scenario: {
      ...slowDatabase,
      composed: true,
      faults: ['evict'],
      mostFaults: 60,
      gapMs: 10,
      writes: 0.3,
      requests: 200,
      slowCommits: 0,
    },
  },
  {
    name: 'second look beside a committing write',
    flags: { looksOnce: true },
    scenario: { ...slowDatabase, composed: true, writes: 0.5 },
  },
  { name: 'fence of the segment', flags: { forgetsSegment: true }, scenario: { ...busy, composed: true } },
  {
    // A write that was fenced may be acknowledged before its release: the fence stands. A change of another program has none.
    name: 'release before acknowledgement',
    flags: { acknowledgesBeforeRelease: true },
    scenario: { ...busy, outsideWrites: true },
  },
  { name: 'wait for a replica', flags: { replicasUnasked: true }, scenario: replicated },
  {
    name: 'position of a release',
    scripts: [{ file: 'release', find: 'advance(ARGV[5], ARGV[4])', replace: '' }],
    scenario: replicated,
  },
  {
    name: 'release of a commit whose position is not known',
    scripts: [
      {
        file: 'release',
        find: "if ARGV[5] == '?' then\n  keep_position('?' .. ARGV[4])",
        replace: "if ARGV[5] == '?' then",
      },
    ],
    scenario: {
      ...replicated,
      outsideWrites: true,
      writes: 0.5,
      requests: 120,
      gapMs: 10,
      databaseDelayMs: 1,
      faults: [],
      ttlMs: 60_000,
    },
  },
  {
    name: 'position behind a fence that ran out',
    scripts: [
      { file: 'prelude', find: 'if tonumber(deadline) <= now and token ~= own then', replace: 'if false then' },
    ],
    scenario: { ...replicated, ...faulty('crash'), gapMs: 100, requests: 200, mostFaults: 40 },
  },
  {
    name: 'mark of what was not known',
    scripts: [{ file: 'fill', find: "if found ~= '' and position == mark then", replace: "if found ~= '' then" }],
    scenario: { ...replicated, writes: 0.5, requests: 120, databaseDelayMs: 5, redisDelayMs: 0.2, ttlMs: 20 },
  },
  {
    name: 'position of another claim',
    flags: { positionsOfAnyClaim: true },
    scenario: { ...replicated, ...faulty('redis left'), mostFaults: 14, gapMs: 60, requests: 120, redisDelayMs: 0.2 },
  },
];

/** Throws when there is none of that name. */
export function findMutation(name: string | undefined): Mutation | undefined {
  if (name === undefined) return undefined;
  const mutation = mutations.find((each) => each.name === name);
  if (mutation === undefined) throw new RangeError(`There is no mutation "${name}"`);
  return mutation;
}
