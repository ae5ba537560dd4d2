import type { DatabaseServer } from '../harness/database-server.ts';
import type { Chance } from './chance.ts';
import { Clients } from './clients.ts';
import { type Cluster, type ClusterPlan, startCluster } from './cluster.ts';
import type { Fault } from './fault.ts';
import { type Gap, GapWatch } from './gap.ts';
import { Listeners } from './listeners.ts';
import { recover, type Recovery } from './recovery.ts';
import { type Findings, judge, theDatabase, type Window } from './verdict.ts';

/** One cluster, clients on it all the time, one fault after the other, and what is to be said of it in the end. */
export type RoundReport = Findings & {
  readonly plan: ClusterPlan;
  readonly faults: readonly FaultReport[];
  readonly counts: Clients['counts'];
  /** Everything that was noted, lists as one each. */
  readonly operations: number;
  /** How often a client of live events was told to read anew. */
  readonly readAnew: number;
  /** Answers outside the contract, instances that did not recover, differences that the audit found. */
  readonly failures: readonly string[];
};

export type FaultReport = Recovery & { readonly name: string; readonly lastedMs: number; readonly gap: Gap };

/** Generous: on the way back are reconnects with backoff, and a fence table that opens by its own deadline. */
const recoveryMs = 10_000;
/** Reads and writes before the first fault, and after each. */
const quietMs = 250;
/** How long after the last instance uses Redis again a sweep may still be to come: a period, and what it takes. */
const sweptMs = 1_500;

export async function runRound(
  server: DatabaseServer,
  plan: ClusterPlan,
  faults: readonly Fault[],
  chance: Chance,
  tell: (line: string) => void = () => undefined,
): Promise<RoundReport> {
  const cluster = await startCluster(server, plan);
  const clients = new Clients(cluster, chance.fork());
  const listeners = new Listeners(cluster);
  const origin = performance.now();
  const windows: Window[] = [];
  const reports: FaultReport[] = [];
  const failures: string[] = [];
  try {
    await listeners.connected();
    clients.start();
    await pause(quietMs);
    for (const fault of faults) {
      const began = performance.now();
      try {
        const report = await runFault(cluster, clients, fault, chance);
        reports.push(report);
        tell(describeFault(report, began - origin));
      } catch (error) {
        failures.push(`${fault.name}: ${error instanceof Error ? error.message : String(error)}`, ...logsOf(cluster));
        tell(`  ${fault.name}: FAILED`);
        break;
      } finally {
        if (plan.writes === 'accept' && fault.losesRedis) {
          windows.push({ from: began, to: performance.now() + sweptMs });
        }
      }
      await pause(quietMs);
    }
    await clients.stop();
    if (failures.length === 0) {
      await pause(windows.length > 0 ? sweptMs : 0);
      await lookAtTheEnd(cluster, clients);
      failures.push(...(await unheard(listeners, clients)));
    }
    failures.push(...clients.unexpected, ...auditsOf(cluster, plan));
  } finally {
    await clients.stop();
    listeners.close();
    await cluster.close();
  }
  const findings = judge(clients.history, windows, origin);
  const { counts, history } = clients;
  const { readAnew } = listeners;
  return { plan, faults: reports, counts, readAnew, operations: history.size, failures, ...findings };
}

async function runFault(cluster: Cluster, clients: Clients, fault: Fault, chance: Chance): Promise<FaultReport> {
  const watch = new GapWatch(cluster);
  try {
    await pause(quietMs);
    const began = performance.now();
    const end = await fault.begin(cluster, chance, clients);
    await pause(fault.lastsMs);
    await end();
    const lastedMs = Math.round(performance.now() - began);
    const recovery = await recover(cluster, recoveryMs);
    await pause(quietMs);
    return { name: fault.name, lastedMs, ...recovery, gap: await watch.end() };
  } finally {
    await watch.end();
  }
}

/** Writes of unknown outcome, and of unknown order, are nobody's to miss: only acknowledged ones count. */
async function unheard(listeners: Listeners, { history }: Clients): Promise<string[]> {
  const acknowledged = [...history.byKey().values()]
    .flat()
    .filter(({ kind, outcome, invokedAt }) => kind === 'write' && outcome === 'ok' && Number.isFinite(invokedAt));
  return (await listeners.missed(acknowledged)).slice(0, mostUnheard);
}

const mostUnheard = 5;

/** What the database holds, and what each instance tells of it when nobody writes any more. */
async function lookAtTheEnd(cluster: Cluster, clients: Clients): Promise<void> {
  const { history } = clients;
  const invokedAt = performance.now();
  const rows = await cluster.query('SELECT id, title FROM posts');
  const respondedAt = performance.now();
  const titles = new Map(rows.map((row) => [String(row['id']), String(row['title'])]));
  for (const key of titles.keys()) clients.meet(key);
  for (const key of history.keys) {
    const value = titles.get(key) ?? null;
    history.add({ key, kind: 'read', value, invokedAt, respondedAt, outcome: 'ok', by: theDatabase });
  }
  for (const instance of cluster.instances) await clients.readAll(instance);
}

/** All writers use the service, so the line that tells of a difference must not appear, but for the stated exception. */
function auditsOf({ instances }: Cluster, { writes }: ClusterPlan): string[] {
  if (writes === 'accept') return [];
  return instances.flatMap(({ name, lines }) =>
    lines.filter((line) => line.includes('Audit: ')).map((line) => `${name}: ${line}`),
  );
}

/** The last that each instance has said, for people. */
function logsOf({ instances }: Cluster): string[] {
  return instances.map(({ name, lines, errors }) => {
    const told = lines.filter((line) => !line.includes('request could not be served'));
    return `${name} said last:\n  ${told.slice(-lastLines).join('\n  ')}\n${errors}`;
  });
}

const lastLines = 6;

function describeFault({ name, lastedMs, servingMs, cachingMs, gap }: FaultReport, at: number): string {
  const times = `${lastedMs} ms; serving after ${servingMs} ms, from the cache after ${cachingMs} ms`;
  const cost = `no hits for ${gap.withoutHitsMs} ms, no writes for ${gap.withoutWritesMs} ms, slowest read ${gap.slowestReadMs} ms, ${gap.failedReads} failed`;
  return `  ${(at / 1_000).toFixed(1)} s  ${name}: ${times}; ${cost}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
