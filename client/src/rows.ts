import type { Shape } from './generated.ts';

/** A row of any resource, of which no more is known here than what lists are ordered by. */
export interface AnyRow {
  readonly id: number;
  readonly created_at: string | null;
}

/** Whether `data` is a row with all its members: others may broadcast anything under the names of events. */
export function isRow<Row>(shape: Shape<Row>, data: unknown): data is Row {
  return fits(shape, data);
}

function fits(shape: object, data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  const members = new Map<string, unknown>(Object.entries(data));
  return Object.entries(shape).every(([name, kinds]: [string, unknown]) => {
    const value = members.get(name);
    if (typeof kinds === 'string') return kinds.split('|').includes(value === null ? 'null' : typeof value);
    return value === null || fits(Object(kinds), value);
  });
}

/** The id of the row that an event is about, as digits; `undefined` when it says none. */
export function idOf(data: unknown): string | undefined {
  const { id }: { id?: unknown } = Object(data);
  const digits = typeof id === 'number' || typeof id === 'string' ? String(id) : '';
  return /^[1-9]\d{0,19}$/.test(digits) ? digits : undefined;
}

/** As the service's lists are: `created_at`, then `id`, both descending; rows without a time last. */
export function newestFirst(a: AnyRow, b: AnyRow): number {
  const [left, right] = [a.created_at ?? '', b.created_at ?? ''];
  if (left !== right) return left < right ? 1 : -1;
  return b.id - a.id;
}

/** When the row was changed last, as its writers say, to the second; empty when they don't. */
export function stampOf(row: AnyRow): string {
  const stamp: unknown = Reflect.get(row, 'updated_at');
  return typeof stamp === 'string' ? stamp : '';
}

/** Rows come from JSON, with their members in the service's order. */
export function isSame(a: unknown, b: unknown): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
