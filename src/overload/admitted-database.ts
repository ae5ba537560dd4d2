import type { Since } from '../cache/store.ts';
import type { Database, Executed, LoadedRows, Row, SqlValue, TransactionOptions, Work } from '../database/database.ts';
import { Shed } from './shed.ts';

/**
 * The database as requests see it: loads and transactions that would wait for a connection for too long are refused. So the queue
 * of the pool never fills up, and what the service does for itself (sweeps, leadership, the barrier) finds room in it: that asks
 * the database behind this one.
 */
export class AdmittedDatabase implements Database {
  readonly #database: Database;
  readonly #longestWaitMs: number;

  constructor(database: Database, longestWaitMs: number) {
    this.#database = database;
    this.#longestWaitMs = longestWaitMs;
  }

  /** As the database; rejects with `Shed` besides. */
  async load(sql: string, params: readonly SqlValue[], since?: Since): Promise<LoadedRows> {
    this.#admit();
    return await this.#database.load(sql, params, since);
  }

  /** The same. */
  async transaction<T>(work: Work<T>, options?: TransactionOptions): Promise<T> {
    this.#admit();
    return await this.#database.transaction(work, options);
  }

  query(sql: string, params?: readonly SqlValue[]): Promise<Row[]> {
    return this.#database.query(sql, params);
  }

  execute(sql: string, params?: readonly SqlValue[]): Promise<Executed> {
    return this.#database.execute(sql, params);
  }

  get dialect(): Database['dialect'] {
    return this.#database.dialect;
  }

  get origin(): string {
    return this.#database.origin;
  }

  get expectedWaitMs(): number {
    return this.#database.expectedWaitMs ?? 0;
  }

  ping(): Promise<void> {
    return this.#database.ping();
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  #admit(): void {
    if (this.expectedWaitMs > this.#longestWaitMs) throw new Shed('database');
  }
}
