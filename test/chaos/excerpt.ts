import type { Operation } from './history.ts';
import { checkRegister } from './linearizability.ts';

/**
 * A small part of a history that cannot be linearized either, for people to read. Leaving out a read, or a write that no
 * one reads, never makes a good history bad: so what is left over still proves the violation.
 */
export function shrinkViolation(history: readonly Operation[], at: Operation): Operation[] {
  let kept = history.filter(({ outcome, invokedAt }) => outcome !== 'failed' && invokedAt <= at.respondedAt);
  // The operation itself may be the failed write that was read, or one that nobody wrote.
  if (!isViolation(kept)) kept = [...history];
  for (let chunk = Math.ceil(kept.length / 2); chunk >= 1; chunk = chunk === 1 ? 0 : Math.ceil(chunk / 2)) {
    for (let from = kept.length - chunk; from > -chunk; from -= chunk) {
      const without = [...kept.slice(0, Math.max(0, from)), ...kept.slice(from + chunk)];
      const fewer = kept.slice(Math.max(0, from), from + chunk).some((each) => isNeeded(each, without));
      if (!fewer && isViolation(without)) kept = without;
    }
  }
  return kept.sort((a, b) => a.invokedAt - b.invokedAt);
}

function isViolation(history: readonly Operation[]): boolean {
  return checkRegister(history).kind === 'violation';
}

/** A write whose value someone reads. */
function isNeeded({ kind, value }: Operation, others: readonly Operation[]): boolean {
  return kind === 'write' && others.some((other) => other.kind === 'read' && other.value === value);
}

/** One line per operation, with times relative to `origin`. */
export function describeOperations(history: readonly Operation[], origin: number): string {
  return history.map((each) => describe(each, origin)).join('\n');
}

function describe({ kind, key, value, outcome, invokedAt, respondedAt, by }: Operation, origin: number): string {
  const span = `${inMs(invokedAt - origin)} to ${inMs(respondedAt - origin)} ms`;
  const what = value === null ? (kind === 'read' ? 'reads nothing' : 'deletes') : `${kind}s ${value}`;
  return `  ${span}: ${by} ${what} (row ${key}${outcome === 'ok' ? '' : `, ${outcome}`})`;
}

function inMs(ms: number): string {
  return Number.isFinite(ms) ? ms.toFixed(1) : String(ms);
}
