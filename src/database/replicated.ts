import type { Position, Since } from '../cache/store.ts';
import { publishLoad } from './channels.ts';
import type { Database, Executed, LoadedRows, Row, SqlValue, TransactionOptions, Work } from './database.ts';
import type { MysqlDatabase } from './mysql.ts';
import { positionIn, selectPosition } from './mysql-positions.ts';
import type { Replicas } from './replicas.ts';

/**
 * A primary with replicas, which answer loads that say how far a replica must have come. Where nobody knows that, the primary
 * answers, and says where it stands. Everything else is asked of the primary.
 */
export class ReplicatedDatabase implements Database {
  readonly #primary: MysqlDatabase;
  readonly #replicas: Replicas;

  constructor(primary: MysqlDatabase, replicas: Replicas) {
    this.#primary = primary;
    this.#replicas = replicas;
  }

  get dialect(): Database['dialect'] {
    return this.#primary.dialect;
  }

  get origin(): string {
    return this.#primary.origin;
  }

  get connections(): MysqlDatabase['connections'] {
    return this.#primary.connections;
  }

  get expectedWaitMs(): number {
    return this.#primary.expectedWaitMs;
  }

  query(sql: string, params?: readonly SqlValue[]): Promise<Row[]> {
    return this.#primary.query(sql, params);
  }

  execute(sql: string, params?: readonly SqlValue[]): Promise<Executed> {
    return this.#primary.execute(sql, params);
  }

  transaction<T>(work: Work<T>, options?: TransactionOptions): Promise<T> {
    return this.#primary.transaction(work, options);
  }

  async load(sql: string, params: readonly SqlValue[], since?: Since): Promise<LoadedRows> {
    if (since === undefined) return await this.#primary.load(sql, params);
    if (since.position === undefined) return await this.#loadAndFind(sql, params);
    const rows = await this.#replicas.load(sql, params, since.position);
    return rows === undefined ? await this.#primary.load(sql, params) : { rows };
  }

  /** Where the primary stands is asked after the call as well: it has come past all that is not known. */
  async #loadAndFind(sql: string, params: readonly SqlValue[]): Promise<LoadedRows> {
    publishLoad('unknown');
    const [rows, position] = await Promise.all([this.#primary.query(sql, params), this.#position()]);
    return { rows, position };
  }

  async #position(): Promise<Position | undefined> {
    const [row] = await this.#primary.query(selectPosition).catch(() => []);
    return positionIn(row);
  }

  ping(): Promise<void> {
    return this.#primary.ping();
  }

  async close(): Promise<void> {
    await Promise.all([this.#primary.close(), this.#replicas.close()]);
  }
}
