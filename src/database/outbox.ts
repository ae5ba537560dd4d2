import type { KeyName } from '../cache/key.ts';
import type { Outbox, Reached } from '../cache/outbox.ts';
import { holdBarrier, readClaim } from './barrier.ts';
import type { Database, Queryable } from './database.ts';

/** The outbox as a table beside the data, so that a name can be recorded in the transaction that makes it stale. */
export class DatabaseOutbox implements Outbox {
  readonly #database: Database;
  readonly #before: () => Promise<void>;

  /** `before` comes before each sweep: each second, and before a store is trusted. */
  constructor(database: Database, before = async (): Promise<void> => undefined) {
    this.#database = database;
    this.#before = before;
  }

  async record(names: readonly KeyName[]): Promise<void> {
    await recordNames(this.#database, names);
  }

  async sweep(invalidate: (names: readonly KeyName[]) => Promise<Reached>): Promise<number> {
    await this.#before();
    const { integer } = this.#database.dialect;
    const select = `SELECT id, cache_key FROM cache_outbox WHERE id > ${integer} ORDER BY id LIMIT ${batchSize}`;
    let swept = 0;
    let after = '0';
    for (;;) {
      const rows = (await this.#database.query(select, [after])).map((row) => row.map(String));
      if (rows.length > 0) {
        const { names, run } = await invalidate([...new Set(rows.map(([, name = '']) => name))]);
        const gone = new Set(names);
        const ids = rows.flatMap(([id = '', name = '']) => (gone.has(name) ? [id] : []));
        swept += await this.#forget(ids, run);
      }
      after = rows.at(-1)?.[0] ?? after;
      if (rows.length < batchSize) return swept;
    }
  }

  async isInUse(run: string): Promise<boolean> {
    return (await readClaim(this.#database)).run === run;
  }

  /**
   * By id, not "up to": rows of transactions that commit out of order must not be deleted unread. And only for the store
   * that is in use by then: another one, that was in use before and is again, still has what the rows tell of.
   */
  async #forget(ids: readonly string[], run: string | undefined): Promise<number> {
    if (ids.length === 0) return 0;
    const { dialect } = this.#database;
    const marks = ids.map(() => dialect.integer).join(', ');
    return await this.#database.transaction(async (transaction) => {
      if (run !== undefined && (await holdBarrier(transaction, dialect)).run !== run) return 0;
      await transaction.execute(`DELETE FROM cache_outbox WHERE id IN (${marks})`, ids);
      return ids.length;
    });
  }
}

const batchSize = 500;

/** Records names as part of `transaction`, or on their own when it is the database itself. */
export async function recordNames(transaction: Queryable, names: readonly KeyName[]): Promise<void> {
  if (names.length === 0) return;
  const marks = names.map(() => '(?, CURRENT_TIMESTAMP)').join(', ');
  await transaction.execute(`INSERT INTO cache_outbox (cache_key, created_at) VALUES ${marks}`, names);
}
