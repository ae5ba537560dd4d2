import { CatalogueError } from '../errors.ts';
import { ConstraintViolation, type Database, type Dialect, type Queryable } from './database.ts';

/**
 * A row that every write holds a share of from the beginning of its transaction to its end. Who has the whole of it knows
 * that every write that was under way, on whatever instance, alive or dead, has been committed or rolled back.
 *
 * The store wants to know that when it has lost its memory, and with it perhaps the fence of a COMMIT that is still out.
 */
export async function holdBarrier(transaction: Queryable, dialect: Dialect): Promise<void> {
  await lock(transaction, dialect.forShare);
}

/**
 * Resolves with `true` when every transaction that held the barrier at the call has ended; those that come meanwhile wait.
 * Resolves with `false` when one of them stays open for longer than the database lets others wait.
 */
export async function passBarrier(database: Database): Promise<boolean> {
  try {
    await database.transaction((transaction) => lock(transaction, database.dialect.forUpdate));
    return true;
  } catch (error) {
    if (error instanceof CatalogueError && error.code === 'DATABASE_BUSY') return false;
    throw error;
  }
}

async function lock(transaction: Queryable, mode: string): Promise<void> {
  for (;;) {
    const rows = await transaction.query(`SELECT id FROM cache_barrier WHERE id = 1${mode}`);
    if (rows.length > 0) return;
    try {
      // The first one ever; its transaction then has the whole row.
      await transaction.execute('INSERT INTO cache_barrier (id) VALUES (1)');
    } catch (error) {
      if (!(error instanceof ConstraintViolation)) throw error;
    }
  }
}
