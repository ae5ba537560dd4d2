import { parseArgs } from 'node:util';
import { type DatabaseFlavour, type DatabaseServer, startDatabaseServer } from '../harness/database-server.ts';
import { Chance } from './chance.ts';
import type { ClusterPlan } from './cluster.ts';
import { faultsFor } from './faults.ts';
import type { Fault } from './fault.ts';
import { type RoundReport, runRound } from './round.ts';

/** `npm run chaos`: rounds of faults for as long as it is told. How to read what it prints is told in the README here. */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    database: { type: 'string', default: 'both' },
    fault: { type: 'string', default: '' },
    redis: { type: 'string', default: '' },
  },
});

const faultsPerRound = 6;
/** Most rounds have strict rules; in some the exception may hold, and in some there is a failover. */
const plans: readonly ClusterPlan[] = [
  { redis: 'single', writes: 'reject' },
  { redis: 'single', writes: 'accept' },
  { redis: 'single', writes: 'reject' },
  { redis: 'sentinel', writes: 'reject' },
  { redis: 'cluster', writes: 'reject' },
];

function flavoursIn(text: string): DatabaseFlavour[] {
  if (text === 'both') return ['mysql', 'mariadb'];
  if (text === 'mysql' || text === 'mariadb') return [text];
  throw new Error('--database must be mysql, mariadb or both');
}

/** A failover comes last, for there is one replica. */
function choose(plan: ClusterPlan, chance: Chance): Fault[] {
  const all = faultsFor(plan).filter(({ name }) => name.includes(values.fault));
  const failovers = all.filter(({ redis, losesRedis }) => redis === 'sentinel' || (redis === 'cluster' && losesRedis));
  const others = chance.shuffle(all.filter((fault) => !failovers.includes(fault))).slice(0, faultsPerRound);
  return failovers.length === 0 ? others : [...others.slice(0, 3), chance.pick(failovers)];
}

async function runOn(server: DatabaseServer, chance: Chance, endsAt: number): Promise<RoundReport[]> {
  const reports: RoundReport[] = [];
  for (let number = 0; performance.now() < endsAt; number += 1) {
    const plan = chance.pick(plans.filter(({ redis }) => redis.includes(values.redis)));
    const faults = choose(plan, chance);
    if (faults.length === 0) continue;
    console.log(`${server.flavour} ${server.version}, round ${number + 1}: ${plan.redis} Redis, ${plan.writes}`);
    const report = await runRound(server, plan, faults, chance.fork(), console.log);
    reports.push(report);
    const bad = [...report.violations, ...report.lost, ...report.failures];
    for (const text of bad) console.log(text);
    if (bad.length > 0) break;
  }
  return reports;
}

function sum(reports: readonly RoundReport[], of: (report: RoundReport) => number): number {
  return reports.reduce((total, report) => total + of(report), 0);
}

function summarize(flavour: string, reports: readonly RoundReport[]): void {
  const count = (name: keyof RoundReport['counts']): number => sum(reports, ({ counts }) => counts[name]);
  console.log(
    [
      `\n${flavour}: ${reports.length} rounds, ${sum(reports, ({ operations }) => operations)} operations:`,
      `${count('reads')} reads (${count('hits')} from the cache), ${count('writes')} writes`,
      `(${count('unknown')} of unknown outcome, ${count('refused')} refused), ${count('unanswered')} unanswered;`,
      `live clients told ${sum(reports, ({ readAnew }) => readAnew)} times to read anew;`,
      `${sum(reports, ({ violations }) => violations.length)} violations,`,
      `${sum(reports, ({ lost }) => lost.length)} lost acknowledged writes,`,
      `${sum(reports, ({ failures }) => failures.length)} other failures`,
    ].join(' '),
  );
  const byName = Map.groupBy(
    reports.flatMap(({ faults }) => faults),
    ({ name }) => name,
  );
  console.log('times; worst ms until serving, until from the cache, without hits, without writes; fault');
  for (const [name, all] of [...byName].sort(([a], [b]) => a.localeCompare(b))) {
    const serving = Math.max(...all.map(({ servingMs }) => servingMs));
    const caching = Math.max(...all.map(({ cachingMs }) => cachingMs));
    const hitless = Math.max(...all.map(({ gap }) => gap.withoutHitsMs));
    const writeless = Math.max(...all.map(({ gap }) => gap.withoutWritesMs));
    console.log(`  ${all.length}  ${serving}  ${caching}  ${hitless}  ${writeless}  ${name}`);
  }
}

const seed = Number(values.seed);
const flavours = flavoursIn(values.database);
const minutes = Number(values.minutes) / flavours.length;
if (!Number.isSafeInteger(seed) || !(minutes > 0)) throw new Error('--seed and --minutes must be numbers');
console.log(`seed ${seed}`);
let isGood = true;
for (const flavour of flavours) {
  const server = await startDatabaseServer(flavour, { ownProcess: true });
  try {
    const reports = await runOn(server, new Chance(seed), performance.now() + minutes * 60_000);
    summarize(flavour, reports);
    isGood &&= reports.every(
      ({ violations, lost, failures }) => violations.length + lost.length + failures.length === 0,
    );
  } finally {
    await server.stop();
  }
}
if (!isGood) {
  console.log(`\nFAILED; seed ${seed}`);
  process.exitCode = 1;
}
