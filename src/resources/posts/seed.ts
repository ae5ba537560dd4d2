import { randomBytes } from 'node:crypto';
import type { Cache } from '../../cache/cache.ts';
import type { Database, Dialect, Queryable } from '../../database/database.ts';
import { recordNames } from '../../database/outbox.ts';
import { posts } from './posts.ts';

const batchSize = 500;

/** Rows to try things with. Reports how many are done after each batch. Resolves with the ids of the users. */
export async function seedUsers(database: Database, count: number, report: (done: number) => void): Promise<string[]> {
  const run = randomBytes(4).toString('hex');
  const ids: string[] = [];
  for (let done = 0; done < count; done = ids.length) {
    const size = Math.min(batchSize, count - done);
    const params = Array.from({ length: size }, (_, index) => [
      `User ${done + index + 1}`,
      `user-${run}-${done + index + 1}@example.com`,
    ]).flat();
    const { insertId } = await database.execute(
      `INSERT INTO users (name, email, password, created_at, updated_at) VALUES ${repeat("(?, ?, '!', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)", size)}`,
      params,
    );
    ids.push(...(await idsOf(database, database.dialect, insertId, size)));
    report(ids.length);
  }
  return ids;
}

/** Posts of the given users, spread over the last year, newest last. Each batch is one fenced write. */
export async function seedPosts(
  cache: Cache,
  database: Database,
  userIds: readonly string[],
  count: number,
  report: (done: number) => void,
): Promise<void> {
  const now = Date.now();
  for (let done = 0; done < count; ) {
    const size = Math.min(batchSize, count - done);
    const params = Array.from({ length: size }, (_, index) => {
      const number = done + index + 1;
      const time = toSqlTime(now - Math.floor((yearMs * (count - number)) / count));
      return [`Post ${number}`, contentOf(number), userIds[number % userIds.length] ?? '', time, time];
    }).flat();
    const row = `(?, ?, ${database.dialect.integer}, ?, ?)`;
    await cache.write((beforeCommit) =>
      database.transaction(async (transaction) => {
        const { insertId } = await transaction.execute(
          `INSERT INTO posts (title, content, user_id, created_at, updated_at) VALUES ${repeat(row, size)}`,
          params,
        );
        const ids = await idsOf(transaction, database.dialect, insertId, size);
        const names = new Set(ids.flatMap((id) => posts.keysAffectedBy(id)));
        await beforeCommit([...names], (missed) => recordNames(transaction, missed));
      }),
    );
    done += size;
    report(done);
  }
}

const yearMs = 365 * 24 * 60 * 60 * 1000;

/** A few hundred characters, always the same for the same number, no two alike. */
function contentOf(number: number): string {
  const sentence = `This is sentence %d of post ${number}, written to have something to read. `;
  return Array.from({ length: 3 + (number % 5) }, (_, index) => sentence.replace('%d', String(index + 1)))
    .join('')
    .trim();
}

function repeat(row: string, count: number): string {
  return Array.from({ length: count }, () => row).join(', ');
}

/**
 * A multi-row insert gets ids at equal distances: 1, or what Galera and group replication set. MySQL reports the first of
 * them, SQLite the last.
 */
async function idsOf(on: Queryable, dialect: Dialect, insertId: string, count: number): Promise<string[]> {
  if (dialect.name === 'sqlite') return idsFrom(BigInt(insertId) - BigInt(count - 1), 1n, count);
  const [row] = await on.query('SELECT @@auto_increment_increment');
  return idsFrom(BigInt(insertId), BigInt(row?.[0] ?? 1), count);
}

function idsFrom(first: bigint, step: bigint, count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(first + step * BigInt(index)));
}

function toSqlTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ');
}
