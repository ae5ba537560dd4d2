import type { Operation, Value } from './history.ts';

/**
 * Whether the history of one key is that of an atomic register: whether each operation can be given an instant between
 * its invocation and its response such that every read tells the value of the last write before it.
 *
 * The search is just-in-time linearization (G. Lowe, "Testing for linearizability", 2017; it goes back to J. M. Wing and
 * C. Gong, "Testing and verifying concurrent objects", 1993). It goes through invocations and responses in the order of
 * time with the set of all states the register may be in: a value, and which of the operations under way have had their
 * instant. An operation needs its instant only when its response comes; then the writes under way are tried in every
 * order until it has one. No state left is a violation. Memory depends on how many operations overlap, not on how many
 * there are.
 *
 * Two things keep the set small. A read changes nothing, so it gets its instant as soon as its value is there. And of two
 * states with the same value and the same writes, one in which more reads are done, or fewer of the writes that need not
 * have an instant at all, makes the other superfluous.
 */
export type Verdict =
  | { readonly kind: 'linearizable' }
  /** `at` is the first operation in whose time no order is left. */
  | { readonly kind: 'violation'; readonly at: Operation }
  /** The search was given up; that counts as a failure. */
  | { readonly kind: 'undecided' };

/** `initial` is what the register holds before the first operation. */
export function checkRegister(history: readonly Operation[], initial: Value = null, mostStates = 5_000_000): Verdict {
  const search = new Search(initial, mostStates);
  for (const { operation, isResponse } of inOrderOfTime(settleUnknown(history))) {
    if (!isResponse) {
      search.invoke(operation);
      continue;
    }
    const outcome = search.respond(operation);
    if (outcome === 'exhausted') return { kind: 'undecided' };
    if (outcome === 'violation') return { kind: 'violation', at: operation };
  }
  return { kind: 'linearizable' };
}

/**
 * Drops what certainly had no effect, and gives an end to writes of unknown outcome where that loses nothing: a value that
 * nobody else writes was there when it was first read, and may as well never have been there when it was never read.
 */
function settleUnknown(history: readonly Operation[]): Operation[] {
  const writers = new Map<Value, number>();
  const firstRead = new Map<Value, number>();
  for (const { kind, value, respondedAt, outcome } of history) {
    if (outcome === 'failed') continue;
    if (kind === 'write') writers.set(value, (writers.get(value) ?? 0) + 1);
    else firstRead.set(value, Math.min(respondedAt, firstRead.get(value) ?? Infinity));
  }
  return history.flatMap((operation) => {
    if (operation.outcome === 'failed') return [];
    if (operation.outcome === 'ok') return [operation];
    if (operation.kind === 'read') return [];
    const isUnique = operation.value !== null && writers.get(operation.value) === 1;
    if (!isUnique) return [{ ...operation, respondedAt: Infinity }];
    const seenAt = firstRead.get(operation.value);
    return seenAt === undefined ? [] : [{ ...operation, respondedAt: seenAt }];
  });
}

type Event = { readonly at: number; readonly operation: Operation; readonly isResponse: boolean };

/** At the same instant invocations come first: the two then overlap. */
function inOrderOfTime(history: readonly Operation[]): Event[] {
  const events = history.flatMap((operation): Event[] => [
    { at: operation.invokedAt, operation, isResponse: false },
    // What is read before it is written has its response before its invocation, and no instant.
    { at: operation.respondedAt, operation, isResponse: true },
  ]);
  return events
    .filter(({ at }) => at !== Infinity)
    .sort((a, b) => compare(a.at, b.at) || Number(a.isResponse) - Number(b.isResponse));
}

/** Infinities are equal to themselves, which a difference would not tell. */
function compare(a: number, b: number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** A possible state. The sets are of operations under way that have had their instant, one bit each. */
type State = { readonly value: Value; readonly writes: bigint; readonly reads: bigint };

class Search {
  readonly #mostStates: number;
  readonly #bits = new Map<Operation, bigint>();
  readonly #free: bigint[] = [];
  readonly #writesUnderWay = new Map<Operation, bigint>();
  readonly #readsUnderWay = new Map<Value, bigint>();
  /** Those of the writes under way that have no end. */
  #endless = 0n;
  #states: State[];
  #seen = 0;

  constructor(initial: Value, mostStates: number) {
    this.#mostStates = mostStates;
    this.#states = [{ value: initial, writes: 0n, reads: 0n }];
  }

  invoke(operation: Operation): void {
    const bit = this.#free.pop() ?? 1n << BigInt(this.#bits.size);
    this.#bits.set(operation, bit);
    const { kind, value } = operation;
    if (kind === 'write') {
      this.#writesUnderWay.set(operation, bit);
      if (operation.respondedAt === Infinity) this.#endless |= bit;
      return;
    }
    this.#readsUnderWay.set(value, (this.#readsUnderWay.get(value) ?? 0n) | bit);
    this.#states = this.#states.map((state) =>
      state.value === value ? { ...state, reads: state.reads | bit } : state,
    );
  }

  respond(operation: Operation): 'possible' | 'violation' | 'exhausted' {
    const bit = this.#bits.get(operation);
    // It was read before it was invoked.
    if (bit === undefined) return 'violation';
    const isDone = operation.kind === 'write' ? isIn('writes', bit) : isIn('reads', bit);
    const found = new Antichain(this.#endless);
    const visited = new Antichain(this.#endless);
    const stack = [...this.#states];
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      this.#seen += 1;
      if (this.#seen > this.#mostStates) return 'exhausted';
      if (isDone(state)) found.add(this.#without(state, operation.kind, bit));
      else stack.push(...this.#successors(state).filter((next) => visited.add(next)));
    }
    this.#forget(operation, bit);
    this.#states = found.members();
    return this.#states.length > 0 ? 'possible' : 'violation';
  }

  /** One more of the writes under way has its instant, and with it all reads that wait for its value. */
  #successors(state: State): State[] {
    const next: State[] = [];
    const tried = new Set<Value>();
    for (const [{ value }, bit] of this.#writesUnderWay) {
      if ((state.writes & bit) !== 0n) continue;
      // One endless write is as good as another one of the same value.
      if ((bit & this.#endless) !== 0n) {
        if (value === state.value || tried.has(value)) continue;
        tried.add(value);
      }
      const reads = state.reads | (this.#readsUnderWay.get(value) ?? 0n);
      next.push({ value, writes: state.writes | bit, reads });
    }
    return next;
  }

  #without(state: State, kind: Operation['kind'], bit: bigint): State {
    return kind === 'write' ? { ...state, writes: state.writes & ~bit } : { ...state, reads: state.reads & ~bit };
  }

  #forget(operation: Operation, bit: bigint): void {
    this.#writesUnderWay.delete(operation);
    if (operation.kind === 'read') {
      const others = (this.#readsUnderWay.get(operation.value) ?? 0n) & ~bit;
      if (others === 0n) this.#readsUnderWay.delete(operation.value);
      else this.#readsUnderWay.set(operation.value, others);
    }
    this.#bits.delete(operation);
    this.#free.push(bit);
  }
}

function isIn(set: 'writes' | 'reads', bit: bigint): (state: State) => boolean {
  return (state) => (state[set] & bit) !== 0n;
}

/** States of which none makes another superfluous. */
class Antichain {
  readonly #endless: bigint;
  readonly #alike = new Map<string, State[]>();

  constructor(endless: bigint) {
    this.#endless = endless;
  }

  /** Whether the state is new. */
  add(state: State): boolean {
    const place = `${state.writes & ~this.#endless} ${JSON.stringify(state.value)}`;
    const rivals = this.#alike.get(place) ?? [];
    if (rivals.some((rival) => this.#makesSuperfluous(rival, state))) return false;
    this.#alike.set(place, [...rivals.filter((rival) => !this.#makesSuperfluous(state, rival)), state]);
    return true;
  }

  members(): State[] {
    return [...this.#alike.values()].flat();
  }

  /** Of two with the same value, and the same writes but for endless ones. */
  #makesSuperfluous(better: State, worse: State): boolean {
    return (worse.reads & ~better.reads) === 0n && (better.writes & this.#endless & ~worse.writes) === 0n;
  }
}
