import { Lock } from './lock.ts';

/** What is committed: the text of each row that exists, and the names in the outbox by their ids. */
export interface Committed {
  readonly rows: ReadonlyMap<string, string>;
  readonly outbox: ReadonlyMap<number, string>;
  /** The row of `cache_barrier`. */
  readonly claim: Claim;
}

interface Claim {
  readonly run: string;
  readonly generation: number;
  readonly settled: boolean;
}

export interface CommitReport {
  readonly changed: readonly string[];
  readonly recorded: readonly string[];
  /** Who changed it: the name of an instance, or another program. */
  readonly writer: string;
  readonly before: Committed;
  readonly after: Committed;
}

/**
 * One run of a database server: rows, an outbox, row locks. A commit takes effect for all readers at one instant. Isolation
 * is no concern of the protocol: a transaction locks what it changes before it reads it.
 */
export class DatabaseServer {
  readonly origin: string;
  alive = true;
  readonly #locks = new Map<string, Lock>();
  readonly #open = new Set<Transaction>();
  readonly #onCommit: (report: CommitReport) => void;
  #committed: Committed;
  #lastId: number;

  constructor(origin: string, committed: Committed, onCommit: (report: CommitReport) => void) {
    this.origin = origin;
    this.#committed = committed;
    this.#lastId = Math.max(0, ...committed.outbox.keys());
    this.#onCommit = onCommit;
  }

  get committed(): Committed {
    return this.#committed;
  }

  begin(): Transaction {
    const transaction = new Transaction(this);
    this.#open.add(transaction);
    return transaction;
  }

  lock(name: string): Lock {
    const lock = this.#locks.get(name) ?? new Lock();
    this.#locks.set(name, lock);
    return lock;
  }

  /** Ids are given out before the commit, so they can become visible out of order. */
  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** Called by a transaction. */
  end(transaction: Transaction): void {
    this.#open.delete(transaction);
    for (const lock of this.#locks.values()) lock.release(transaction);
  }

  apply({ writes, recorded, forgotten, claim, writer }: Changes): void {
    const before = this.#committed;
    const rows = new Map(before.rows);
    for (const [id, text] of writes) {
      if (text === null) rows.delete(id);
      else rows.set(id, text);
    }
    const outbox = new Map([...before.outbox, ...recorded]);
    for (const id of forgotten) outbox.delete(id);
    this.#committed = { rows, outbox, claim: claim ?? before.claim };
    this.#onCommit({
      changed: [...writes.keys()],
      recorded: [...recorded.values()],
      writer,
      before,
      after: this.#committed,
    });
  }

  /** The process dies, and with it every transaction that is open. */
  stop(): void {
    this.alive = false;
    for (const transaction of this.#open) transaction.rollback();
  }
}

interface Changes {
  readonly writes: ReadonlyMap<string, string | null>;
  readonly recorded: ReadonlyMap<number, string>;
  readonly forgotten: Iterable<number>;
  readonly claim: Claim | undefined;
  readonly writer: string;
}

export class Transaction {
  readonly #server: DatabaseServer;
  readonly #writes = new Map<string, string | null>();
  readonly #recorded = new Map<number, string>();
  readonly #forgotten = new Set<number>();
  #claim: Claim | undefined;
  writer = '';
  #open = true;

  constructor(server: DatabaseServer) {
    this.#server = server;
  }

  get open(): boolean {
    return this.#open;
  }

  get hasChanges(): boolean {
    return this.#writes.size + this.#recorded.size + this.#forgotten.size > 0 || this.#claim !== undefined;
  }

  lock(name: string, mode: 'shared' | 'exclusive', granted: () => void): void {
    this.#server.lock(name).take(this, mode, granted);
  }

  row(id: string): string | null {
    return this.#writes.get(id) ?? (this.#writes.has(id) ? null : (this.#server.committed.rows.get(id) ?? null));
  }

  write(id: string, text: string | null): void {
    this.#writes.set(id, text);
  }

  get claim(): Claim {
    return this.#claim ?? this.#server.committed.claim;
  }

  claimRun(run: string, settled: boolean): void {
    this.#claim = { run, generation: this.claim.generation + 1, settled };
  }

  settleClaim(generation: number): void {
    const { claim } = this;
    if (claim.generation === generation) this.#claim = { ...claim, settled: true };
  }

  record(names: readonly string[]): void {
    for (const name of names) this.#recorded.set(this.#server.nextId(), name);
  }

  forget(ids: readonly number[]): void {
    for (const id of ids) this.#forgotten.add(id);
  }

  /** The instant at which all becomes visible. */
  commit(): void {
    if (!this.#open) return;
    this.#open = false;
    const { writer } = this;
    this.#server.apply({
      writes: this.#writes,
      recorded: this.#recorded,
      forgotten: this.#forgotten,
      claim: this.#claim,
      writer,
    });
    this.#server.end(this);
  }

  rollback(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#server.end(this);
  }
}
