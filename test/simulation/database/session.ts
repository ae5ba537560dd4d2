import { CatalogueError } from '../../../src/errors.ts';
import type { SqlValue } from '../../../src/database/database.ts';
import type { Host } from '../host.ts';
import type { Committed, DatabaseServer, Transaction } from './server.ts';
import { type Result, runStatement } from './statements.ts';

/** One connection of a pool with the transaction that is open on it. */
export class Session {
  readonly #host: Host;
  readonly #server: DatabaseServer;
  readonly #options: SessionOptions;
  readonly #transaction: Transaction;
  #lost = false;
  #fail: ((error: Error) => void) | undefined;

  constructor(host: Host, server: DatabaseServer, options: SessionOptions) {
    this.#host = host;
    this.#server = server;
    this.#options = options;
    this.#transaction = server.begin();
  }

  run(sql: string, params: readonly SqlValue[]): Promise<Result> {
    return this.#ask(this.#options.statementTimeoutMs, this.#options.delayMs, (done, refuse) => {
      const timer = this.#host.timeline.after(this.#options.lockWaitMs, () => refuse(busy('lock wait timeout')));
      const place = {
        transaction: this.#transaction,
        committed: () => this.#server.committed,
        valueOf: this.#options.valueOf,
      };
      if (this.#host.random.chance(this.#options.deadlocks)) refuse(deadlock());
      else {
        runStatement(sql, params, place, (result) => {
          timer.run = undefined;
          done(result);
        });
      }
    });
  }

  /** Rejects with anything but a `Refusal` when nobody knows whether it took effect. */
  commit(delayMs: number): Promise<string> {
    return this.#ask<string>(this.#options.commitTimeoutMs, delayMs, (done, refuse) => {
      // A Galera cluster finds conflicts as late as that.
      if (this.#host.random.chance(this.#options.deadlocks)) {
        this.#transaction.rollback();
        refuse(deadlock());
        return;
      }
      this.#transaction.commit();
      done(this.#options.position());
    });
  }

  /** What changed nothing is not written to any log, and is over at once. */
  get hasChanges(): boolean {
    return this.#transaction.hasChanges;
  }

  rollback(): void {
    this.#host.timeline.after(this.#options.delayMs, () => this.#transaction.rollback());
  }

  /** The connection is lost. The server notices later; what was under way may still take effect until then. */
  lose(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    const { timeline, random } = this.#host;
    if (random.chance(0.5)) this.#transaction.rollback();
    else timeline.after(random.between(0, this.#options.noticeMs), () => this.#transaction.rollback());
    // Nothing of a process that was killed goes on.
    if (this.#host.alive) this.#fail?.(unavailable(reason));
  }

  #ask<T>(
    deadlineMs: number,
    delayMs: number,
    execute: (done: (result: T) => void, refuse: (error: Refusal) => void) => void,
  ): Promise<T> {
    const { timeline, random } = this.#host;
    return new Promise((resolve, reject) => {
      if (this.#lost) {
        reject(unavailable('the connection is lost'));
        return;
      }
      const cancel = this.#host.after(deadlineMs, () => this.lose('the database did not answer in time'));
      this.#fail = (error) => {
        cancel();
        reject(error);
      };
      const answer = (finish: () => void): void => {
        this.#host.after(random.between(0.2, 2) * this.#options.delayMs, () => {
          if (this.#lost || !this.#server.alive) return;
          cancel();
          finish();
        });
      };
      timeline.after(random.between(0.2, 2) * delayMs, () => {
        if (!this.#server.alive || !this.#transaction.open) return;
        execute(
          (result) => answer(() => resolve(result)),
          (error) => answer(() => reject(error)),
        );
      });
    });
  }
}

export interface SessionOptions {
  readonly delayMs: number;
  /** Where the log stands. */
  readonly position: () => string;
  readonly statementTimeoutMs: number;
  readonly commitTimeoutMs: number;
  readonly lockWaitMs: number;
  /** How long the server takes at most to notice that a client is gone. */
  readonly noticeMs: number;
  /** Share of the statements that are victims of a deadlock. */
  readonly deadlocks: number;
  readonly valueOf: (key: string, committed: Committed) => string;
}

/** The server says no, and has rolled back or will. */
export class Refusal extends CatalogueError {
  readonly isDeadlock: boolean;

  constructor(reason: string, isDeadlock: boolean) {
    super('DATABASE_BUSY', { cause: new Error(reason) });
    this.isDeadlock = isDeadlock;
  }
}

const busy = (reason: string): Refusal => new Refusal(reason, false);
const deadlock = (): Refusal => new Refusal('deadlock', true);

export function unavailable(reason: string): CatalogueError {
  return new CatalogueError('DATABASE_UNAVAILABLE', { cause: new Error(reason) });
}
