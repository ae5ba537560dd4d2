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

  async sweep(invalidate: (names: readonly KeyName[]) => Promise<readonly KeyName[]>): Promise<number> {
    const { integer } = this.#database.dialect;
    const select = `SELECT id, cache_key FROM cache_outbox WHERE id > ${integer} ORDER BY id LIMIT ${batchSize}`;
    let swept = 0;
    let after = '0';
    for (;;) {
      const rows = (await this.#database.query(select, [after])).map((row) => row.map(String));
      const done = rows.length === 0 ? [] : await invalidate([...new Set(rows.map(([, name = '']) => name))]);
      const gone = new Set(done);
      const ids = rows.flatMap(([id = '', name = '']) => (gone.has(name) ? [id] : []));
      await this.#forget(ids);
      swept += ids.length;
      after = rows.at(-1)?.[0] ?? after;
      if (rows.length < batchSize) return swept;
    }
  }

  /** By id, not "up to": rows of transactions that commit out of order must not be deleted unread. */
  async #forget(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const marks = ids.map(() => this.#database.dialect.integer).join(', ');
    await this.#database.execute(`DELETE FROM cache_outbox WHERE id IN (${marks})`, ids);
  }
}

const batchSize = 500;

/** Records names as part of `transaction`, or on their own when it is the database itself. */
export async function recordNames(transaction: Queryable, names: readonly KeyName[]): Promise<void> {
  if (names.length === 0) return;
  const marks = names.map(() => '(?, CURRENT_TIMESTAMP)').join(', ');
  await transaction.execute(`INSERT INTO cache_outbox (cache_key, created_at) VALUES ${marks}`, names);
}
