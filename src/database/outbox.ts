import type { KeyName } from '../cache/key.ts';
import type { Outbox } from '../cache/outbox.ts';
import type { Database, Queryable } from './database.ts';

/** The outbox as a table beside the data, so that a name can be recorded in the transaction that makes it stale. */
export class DatabaseOutbox implements Outbox {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  async record(names: readonly KeyName[]): Promise<void> {
    await recordNames(this.#database, names);
  }

  async sweep(invalidate: (names: readonly KeyName[]) => Promise<void>): Promise<number> {
    let swept = 0;
    for (;;) {
      const rows = await this.#database.query(`SELECT id, cache_key FROM cache_outbox ORDER BY id LIMIT ${batchSize}`);
      if (rows.length === 0) return swept;
      await invalidate([...new Set(rows.map(([, name]) => String(name)))]);
      const ids = rows.map(([id]) => String(id));
      // By id, not "up to": rows of transactions that commit out of order must not be deleted unread.
      const marks = ids.map(() => this.#database.dialect.integer).join(', ');
      await this.#database.execute(`DELETE FROM cache_outbox WHERE id IN (${marks})`, ids);
      swept += rows.length;
      if (rows.length < batchSize) return swept;
    }
  }
}

const batchSize = 500;

/** Records names as part of `transaction`, or on their own when it is the database itself. */
export async function recordNames(transaction: Queryable, names: readonly KeyName[]): Promise<void> {
  if (names.length === 0) return;
  const marks = names.map(() => '(?, CURRENT_TIMESTAMP)').join(', ');
  await transaction.execute(`INSERT INTO cache_outbox (cache_key, created_at) VALUES ${marks}`, names);
}
