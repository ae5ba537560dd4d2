import type { Executed, Row, SqlValue } from '../../../src/database/database.ts';
import type { Committed, Transaction } from './server.ts';

/**
 * The statements that the simulated database understands: those of `src/database/outbox.ts` and `src/database/barrier.ts`
 * as they are, and three of the simulation's own on its rows.
 */
export const statements = {
  /** The value of a cache key. */
  read: 'READ KEY ?',
  /** Locks a row and reads it. */
  lock: 'READ ROW ? FOR UPDATE',
  /** Sets a row, or deletes it; the third parameter says who does. */
  write: 'WRITE ROW ?',
} as const;

/** Another program. */
export const outsider = 'outsider';

export interface Result {
  readonly rows: Row[];
  readonly executed: Executed;
}

/** Runs a statement in a transaction; `done` may be called later, when a lock was waited for. */
export function runStatement(
  sql: string,
  params: readonly SqlValue[],
  { transaction, committed, valueOf }: Place,
  done: (result: Result) => void,
): void {
  const texts = params.map(String);
  const [first = ''] = texts;
  const rows = (result: Row[]): void =>
    done({ rows: result, executed: { affectedRows: result.length, insertId: '0' } });
  if (sql === statements.read) {
    rows([[valueOf(first, committed())]]);
  } else if (sql === statements.lock) {
    transaction.lock(`row ${first}`, 'exclusive', () => rows([[transaction.row(first)]]));
  } else if (sql === statements.write) {
    transaction.writer = texts[2] ?? '';
    transaction.write(first, params[1] === null ? null : (texts[1] ?? null));
    rows([]);
  } else if (sql.startsWith('SELECT run, generation, settled FROM cache_barrier')) {
    const answer = (): void =>
      rows([[transaction.claim.run, transaction.claim.generation, Number(transaction.claim.settled)]]);
    const mode = sql.endsWith('FOR UPDATE') ? 'exclusive' : 'shared';
    if (sql.endsWith('id = 1')) answer();
    else transaction.lock('barrier', mode, answer);
  } else if (sql.startsWith('UPDATE cache_barrier SET run = ?')) {
    transaction.claimRun(first, texts[1] === '1');
    rows([]);
  } else if (sql.startsWith('UPDATE cache_barrier SET settled = 1')) {
    transaction.lock('barrier', 'exclusive', () => {
      transaction.settleClaim(Number(first));
      rows([]);
    });
  } else if (sql.startsWith('SELECT id, cache_key FROM cache_outbox WHERE id > ')) {
    const most = Number(/LIMIT (\d+)$/.exec(sql)?.[1]);
    const waiting = [...committed().outbox].filter(([id]) => id > Number(first)).toSorted(([a], [b]) => a - b);
    rows(waiting.slice(0, most));
  } else if (sql.startsWith('DELETE FROM cache_outbox WHERE id IN')) {
    transaction.forget(texts.map(Number));
    rows([]);
  } else if (sql.startsWith('INSERT INTO cache_outbox')) {
    transaction.record(texts);
    rows([]);
  } else {
    throw new Error(`the simulated database does not know the statement ${sql}`);
  }
}

interface Place {
  readonly transaction: Transaction;
  readonly committed: () => Committed;
  readonly valueOf: (key: string, committed: Committed) => string;
}
