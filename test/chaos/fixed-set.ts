import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';
import { Chance } from './chance.ts';
import type { ClusterPlan } from './cluster.ts';
import type { Fault } from './fault.ts';
import { faults } from './faults.ts';
import { type RoundReport, runRound } from './round.ts';

/**
 * Every fault once, on one database or the other, and the hard ones on both. `npm run chaos` is the long run;
 * test/chaos/README.md tells of both.
 */
const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 2 ** 31);

/** For each database: the plan of a cluster, and the names of what happens to it. */
type Round = { readonly plan: ClusterPlan; readonly names: readonly string[] };

const strict: ClusterPlan = { redis: 'single', writes: 'reject' };
const accepting: ClusterPlan = { redis: 'single', writes: 'accept' };
const failover: ClusterPlan = { redis: 'sentinel', writes: 'reject' };
const nodes: ClusterPlan = { redis: 'cluster', writes: 'reject' };

const killed = 'kill -9 between fence and commit, COMMIT';
export const rounds: Record<DatabaseFlavour, readonly Round[]> = {
  mysql: [
    {
      plan: strict,
      names: [
        `${killed} never arrives`,
        `${killed} arrives later; FLUSHALL meanwhile`,
        'kill -9 between commit and release; FLUSHALL meanwhile',
        'a COMMIT that arrives after its deadline',
        'SIGSTOP of the database',
        'delay: all links to database',
        'delay: the link of one instance to Redis',
        'delay: the link of one instance to database',
        'delay beyond deadlines: the link of one instance to database',
        'black hole: the link of one instance to database',
        'cut: all links to database',
        'reset: the link of one instance to database',
        'delay beyond deadlines: the link of one instance to Redis',
        'black hole: the link of one instance to Redis',
        'cut: the link of one instance to Redis',
        'reset: the link of one instance to Redis',
        'delay: all links to Redis',
        'eviction under a small maxmemory with allkeys-lru',
      ],
    },
    { plan: failover, names: ['a Sentinel failover to a replica that missed deletes; the master is killed'] },
    {
      plan: nodes,
      names: [
        'the slot of a row moves to another master',
        'the slot of a row stays half-way, one of its keys at the other master',
        `${killed} arrives later; FLUSHALL meanwhile`,
        'a master of the Redis Cluster is killed, and its replica takes over',
      ],
    },
  ],
  mariadb: [
    {
      plan: strict,
      names: [
        `${killed} arrives later`,
        `${killed} arrives later; FLUSHALL twice meanwhile`,
        'kill -9 between commit and release',
        'a COMMIT that takes a second; FLUSHALL meanwhile',
        'a COMMIT that arrives after its deadline; FLUSHALL meanwhile',
        'FLUSHALL',
        'kill -9 of the database',
        'black hole: all links to database',
        'cut: the link of one instance to database',
        'reset: all links to database',
        'delay beyond deadlines: all links to database',
        'eviction under a small maxmemory with allkeys-random',
      ],
    },
    {
      plan: accepting,
      names: [
        'SIGSTOP of Redis',
        'SIGSTOP of Redis, for a moment',
        'cut: all links to Redis',
        'reset: all links to Redis',
        'black hole: all links to Redis',
        'delay beyond deadlines: all links to Redis',
        'Redis is out of memory and refuses writes',
        'a Redis restart that loads an old snapshot',
        `${killed} arrives later; meanwhile Redis restarts with an old snapshot`,
      ],
    },
    { plan: failover, names: ['a Sentinel failover to a replica that missed deletes; the master was only asleep'] },
    {
      plan: nodes,
      names: [
        'the move of a slot is given up before a key has moved',
        'the slots of the list and of the event log move',
        'cut: all links to database',
        'a master of the Redis Cluster is asleep, and its replica takes over',
      ],
    },
  ],
};

function named(name: string): Fault {
  const fault = faults.find((each) => each.name === name);
  if (fault === undefined) throw new Error(`there is no fault "${name}"`);
  return fault;
}

/** What a failover and a slot that moves cost, for whoever reads the output of the run. */
function tellFigures(where: string, lines: readonly string[], { readAnew }: RoundReport): void {
  const told = `  live clients were told ${readAnew} times to read anew`;
  process.stdout.write(`\nFigures of the chaos, ${where}:\n${[...lines, told].join('\n')}\n`);
}

/** The two databases have a file of tests each, so that they run side by side. */
export function describeChaos(flavour: DatabaseFlavour): void {
  describe(`three instances under faults, on ${flavour} (seed ${seed})`, () => defineRounds(flavour));
}

function defineRounds(flavour: DatabaseFlavour): void {
  let leaks: LeakCheck;
  let server: DatabaseServer;

  beforeAll(async () => {
    // ioredis takes two seconds to forget its connection to a Sentinel.
    leaks = trackLeaks(3_000);
    server = await startDatabaseServer(flavour, { ownProcess: true });
  }, 60_000);
  afterAll(async () => {
    await server.stop();
    await leaks.check();
  });

  test.each(rounds[flavour].map((round, index) => ({ ...round, ...round.plan, number: index + 1 })))(
    'round $number: $redis Redis, WRITE_WITHOUT_CACHE=$writes',
    async ({ plan, names, number }) => {
      const lines: string[] = [];
      const tell = (line: string): void => void lines.push(line);
      const report = await runRound(server, plan, names.map(named), new Chance(seed + number), tell);
      if (plan.redis !== 'single') tellFigures(`${flavour}, ${plan.redis}`, lines, report);
      const found = [...report.violations, ...report.lost, ...report.failures];
      expect(found.join('\n')).toBe('');
      expect(report.faults).toHaveLength(names.length);
      // The cache was used, and written to: silence proves nothing.
      expect(report.counts.hits).toBeGreaterThan(50);
      expect(report.counts.writes).toBeGreaterThan(50);
    },
    120_000,
  );
}
