import type { Levers } from './shapes.ts';

/** Processor time so far, in microseconds. */
export interface Work {
  readonly masters: readonly number[];
  readonly database: number;
  readonly instances: number;
}

/** What is counted while the simulation plays. */
export interface Stats {
  /** Milliseconds. */
  readonly reads: number[];
  readonly writes: number[];
  readonly events: number[];
  questions: number;
  texts: number;
  late: number;
  loads: number;
  /** See `Figures`. */
  behind: number;
}

export function newStats(): Stats {
  return {
    reads: [],
    writes: [],
    events: [],
    questions: 0,
    texts: 0,
    late: 0,
    loads: 0,
    behind: 0,
  };
}

export interface Figures {
  /** Questions that Redis answers, per second, on all masters. */
  readonly validations: number;
  /** Of them in one text to one master. */
  readonly together: number;
  readonly readsPerSecond: number;
  /** Loads of the primary, per second. */
  readonly loads: number;
  /** Share of the questions that were not answered within `REDIS_TIMEOUT_MS`. */
  readonly late: number;
  /** Work that came, of what there is a processor for. */
  readonly busiestMaster: number;
  /** How long a question would wait at it a second later, as its queue has grown at the end; milliseconds. */
  readonly behind: number;
  readonly database: number;
  readonly instance: number;
  /** Milliseconds. */
  readonly readP50: number;
  readonly readP99: number;
  readonly writeP50: number;
  /** Until the last socket of an instance was written to, or the event was read. */
  readonly eventP99: number;
}

export function toFigures(
  stats: Stats,
  before: Work,
  after: Work,
  { window, levers, count }: { readonly window: number; readonly levers: Levers; readonly count: number },
): Figures {
  const perSecond = (number: number): number => number / (window / 1e6);
  const masters = after.masters.map((work, at) => (work - (before.masters[at] ?? 0)) / window);
  return {
    validations: perSecond(stats.questions),
    together: stats.questions / stats.texts,
    readsPerSecond: perSecond(stats.reads.length),
    loads: perSecond(stats.loads),
    late: stats.questions === 0 ? 0 : stats.late / stats.questions,
    busiestMaster: Math.max(...masters),
    behind: stats.behind,
    database: (after.database - before.database) / window / levers.databaseProcessors,
    instance: (after.instances - before.instances) / window / count,
    readP50: quantile(stats.reads, 0.5),
    readP99: quantile(stats.reads, 0.99),
    writeP50: quantile(stats.writes, 0.5),
    eventP99: quantile(stats.events, 0.99),
  };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

/** More comes than is done. One hot key is none of these: its questions are bounded by the number of instances. */
export function isEndless({ behind, busiestMaster }: Figures): boolean {
  return busiestMaster > tooMuch && behind > endlessMs;
}

/** A little above a whole processor: until a long queue has come to its length, more comes than is done as well. */
const tooMuch = 1.05;
/** The default of `REDIS_TIMEOUT_MS`. */
const endlessMs = 50;
