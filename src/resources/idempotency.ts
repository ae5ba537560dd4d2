import { hash } from 'node:crypto';
import { ConstraintViolation, type Database, type Queryable } from '../database/database.ts';
import { CatalogueError } from '../errors.ts';

/**
 * Idempotency keys (draft-ietf-httpapi-idempotency-key-header): the first answer to a key is recorded in the very
 * transaction that made it true, so that key, row and answer exist together or not at all. The insert of the key comes
 * first in the transaction; a second request with the same key waits on it until the first has committed.
 */
export class IdempotencyKeys {
  readonly #resource: string;

  /** Keys of different resources do not meet. */
  constructor(resource: string) {
    this.#resource = resource;
  }

  /**
   * Takes the key, or returns the answer that is recorded under it. Throws when it was used with another body.
   *
   * The first statement is an insert: a DELETE or SELECT ... FOR UPDATE that finds no row locks the gap in which the key
   * would be, and two transactions that hold the same gap and insert into it are a deadlock, whatever their keys.
   */
  async claim(transaction: Queryable, key: string, body: unknown, now: Date): Promise<string | null> {
    const fingerprint = hash('sha256', JSON.stringify(body));
    try {
      await transaction.execute(
        "INSERT INTO cache_idempotency_keys (resource, idempotency_key, fingerprint, answer, created_at) VALUES (?, ?, ?, '', ?)",
        [this.#resource, key, fingerprint, toSqlTime(now)],
      );
      return null;
    } catch (error) {
      if (!(error instanceof ConstraintViolation)) throw error;
    }
    const [row] = await transaction.query(
      'SELECT fingerprint, answer FROM cache_idempotency_keys WHERE resource = ? AND idempotency_key = ? AND created_at >= ?',
      [this.#resource, key, oldest(now)],
    );
    if (row === undefined) return await this.#takeOver(transaction, key, fingerprint, now);
    if (row[0] !== fingerprint) throw new CatalogueError('IDEMPOTENCY_KEY_REUSED');
    return String(row[1]);
  }

  /** The key was last used more than 24 hours ago. */
  async #takeOver(transaction: Queryable, key: string, fingerprint: string, now: Date): Promise<null> {
    await transaction.execute(
      "UPDATE cache_idempotency_keys SET fingerprint = ?, answer = '', created_at = ? WHERE resource = ? AND idempotency_key = ?",
      [fingerprint, toSqlTime(now), this.#resource, key],
    );
    return null;
  }

  async record(transaction: Queryable, key: string, answer: string): Promise<void> {
    await transaction.execute(
      'UPDATE cache_idempotency_keys SET answer = ? WHERE resource = ? AND idempotency_key = ?',
      [answer, this.#resource, key],
    );
  }
}

/** Deletes the keys, of all resources, that are older than 24 hours. */
export async function forgetOldKeys(database: Database, now: Date): Promise<void> {
  await database.execute('DELETE FROM cache_idempotency_keys WHERE created_at < ?', [oldest(now)]);
}

const keptMs = 24 * 60 * 60 * 1000;

function oldest(now: Date): string {
  return toSqlTime(new Date(now.getTime() - keptMs));
}

function toSqlTime(time: Date): string {
  return time.toISOString().slice(0, 19).replace('T', ' ');
}
