import { describeOperations, shrinkViolation } from './excerpt.ts';
import type { History, ListRead, Operation } from './history.ts';
import { checkRegister } from './linearizability.ts';
import { findMixedList } from './snapshots.ts';

/**
 * A time in which the stated exception may hold (`docs/consistency.md`): writes were accepted while Redis could not be
 * reached, and some instances may have reached it again before others.
 */
export type Window = { readonly from: number; readonly to: number };

/** The sweep comes each second, and takes its time. A read within a window may tell what was true so long ago. */
const toleratedMs = 2_000;

export type Findings = {
  /** Histories that no register can have, each as a text. */
  readonly violations: readonly string[];
  /** Acknowledged writes that the database does not hold in the end. */
  readonly lost: readonly string[];
};

export const theDatabase = 'the database';

export function judge(history: History, windows: readonly Window[], origin: number): Findings {
  const relaxed = <T extends Timed>(read: T): T => {
    const isWithin = windows.some(({ from, to }) => read.invokedAt <= to && read.respondedAt >= from);
    return isWithin ? { ...read, invokedAt: read.invokedAt - toleratedMs } : read;
  };
  const byKey = new Map(
    [...history.byKey()].map(([key, operations]): [string, Operation[]] => [
      key,
      operations.map((each) => (each.kind === 'read' ? relaxed(each) : each)),
    ]),
  );
  const violations: string[] = [];
  const lost: string[] = [];
  for (const [key, operations] of byKey) {
    const violation = describeViolation(operations, origin);
    if (violation !== undefined) violations.push(`row ${key} is not linearizable:\n${violation}`);
    const written = operations.filter(({ kind, by }) => kind === 'write' || by === theDatabase);
    const loss = describeViolation(written, origin);
    if (loss !== undefined) lost.push(`row ${key} lost an acknowledged write:\n${loss}`);
  }
  const mixed = findMixedList(byKey, history.lists.map(relaxed));
  if (mixed !== undefined) violations.push(describeMixed(mixed, origin));
  return { violations, lost };
}

type Timed = Pick<Operation | ListRead, 'invokedAt' | 'respondedAt'>;

function describeViolation(operations: readonly Operation[], origin: number): string | undefined {
  const verdict = checkRegister(operations);
  if (verdict.kind === 'linearizable') return undefined;
  if (verdict.kind === 'undecided') return '  undecided: the search took too long';
  return describeOperations(shrinkViolation(operations, verdict.at), origin);
}

function describeMixed({ list, from, to }: { list: ListRead; from: number; to: number }, origin: number): string {
  const rows = [...list.rows].map(([key, value]) => `${key}: ${value}`).join(', ');
  const times = [list.invokedAt, list.respondedAt, from, to].map((time) => (time - origin).toFixed(1));
  return (
    `a list mixes times: ${list.by}, ${times[0]} to ${times[1]} ms: one of its rows was not there before ${times[2]} ms, ` +
    `another one not after ${times[3]} ms\n  ${rows}`
  );
}
