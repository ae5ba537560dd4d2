import type { ListRead, Operation, Value } from './history.ts';

/**
 * Whether all rows of a list can have had the values it tells at one and the same instant. That each row alone is a
 * register is told by `linearizability.ts`; a list that was put together from rows of different times passes there.
 *
 * A value cannot be there before its write was invoked, nor after the response of a write that was invoked when the
 * value's own write had been answered. A necessary condition, so it never accuses a good list.
 */
export function findMixedList(
  histories: ReadonlyMap<string, readonly Operation[]>,
  lists: readonly ListRead[],
): { list: ListRead; from: number; to: number } | undefined {
  const spans = new Map([...histories].map(([key, history]) => [key, spansOf(history)]));
  for (const list of lists) {
    let from = list.invokedAt;
    let to = list.respondedAt;
    for (const [key, value] of list.rows) {
      const span = spans.get(key)?.get(value);
      if (span === undefined) continue;
      from = Math.max(from, span.from);
      to = Math.min(to, span.to);
    }
    if (from > to) return { list, from, to };
  }
  return undefined;
}

type Span = { readonly from: number; readonly to: number };

/** When each value can have been there at most. Values are unique, but for `null`, which is left out. */
function spansOf(history: readonly Operation[]): Map<Value, Span> {
  const firstRead = new Map<Value, number>();
  for (const { kind, value, respondedAt } of history) {
    if (kind === 'read') firstRead.set(value, Math.min(respondedAt, firstRead.get(value) ?? Infinity));
  }
  const writes = history.filter(({ kind, outcome }) => kind === 'write' && outcome !== 'failed');
  const certain = writes.filter(({ outcome }) => outcome === 'ok').sort((a, b) => a.invokedAt - b.invokedAt);
  // The earliest response of this and all later writes.
  const ends: number[] = [];
  for (let index = certain.length - 1; index >= 0; index -= 1) {
    ends[index] = Math.min(certain[index]?.respondedAt ?? Infinity, ends[index + 1] ?? Infinity);
  }
  const spans = new Map<Value, Span>();
  for (const { value, invokedAt, respondedAt, outcome } of writes) {
    if (value === null) continue;
    const writtenAt = outcome === 'ok' ? respondedAt : (firstRead.get(value) ?? Infinity);
    spans.set(value, { from: invokedAt, to: ends[firstAfter(certain, writtenAt)] ?? Infinity });
  }
  return spans;
}

/** The index of the first write that was invoked after `time`, by bisection. */
function firstAfter(writes: readonly Operation[], time: number): number {
  let low = 0;
  let high = writes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((writes[middle]?.invokedAt ?? Infinity) > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
