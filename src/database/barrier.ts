import { CatalogueError } from '../errors.ts';
import { ConstraintViolation, type Database, type Dialect, type Queryable, type Row } from './database.ts';

/**
 * A row that every write holds a share of from the beginning of its transaction to its end. Who has the whole of it knows
 * that every write that was under way, on whatever instance, alive or dead, has been committed or rolled back.
 *
 * The store wants to know that when it has lost its memory, and with it perhaps the fence of a COMMIT that is still out.
 *
 * The row also says which run of which Redis is in use. Whoever comes to another one claims it, and then has the whole row:
 * so a write that finds its own Redis there can rely on that until it ends. Each claim has a number of its own, and is
 * settled once nobody can be answering from another Redis any more.
 */
export interface Claim {
  /** `''` when none was ever claimed. */
  readonly run: string;
  /** Counts the changes of `run`, in digits. */
  readonly generation: string;
  readonly settled: boolean;
}

/** What a transaction that holds a share begins with: see `Database.transaction`. */
export function barrierOpening(dialect: Dialect): string {
  return select + dialect.forShare;
}

/**
 * Holds a share until the transaction ends. Resolves with the claim that counts until then. `opened` is what the opening of
 * the transaction gave, if it was opened so.
 */
export async function holdBarrier(
  transaction: Queryable,
  dialect: Dialect,
  [opened]: readonly Row[] = [],
): Promise<Claim> {
  return opened === undefined ? await lock(transaction, dialect.forShare) : toClaim(opened);
}

/**
 * The run in which a fence counts, `''` for none: until a claim is settled, there may be instances that answer from the
 * Redis before it.
 */
export function storeInUse({ run, settled }: Claim): string {
  return settled ? run : '';
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

/**
 * Says that `run` is in use from now: a claim of its own, if another run was in use before. The first one ever is settled
 * at once. Waits for no write where the run is in use already.
 */
export async function claimRun(database: Database, run: string): Promise<Claim> {
  const current = await readClaim(database);
  if (current.run === run) return current;
  return await database.transaction(async (transaction) => {
    const claimed = await lock(transaction, database.dialect.forUpdate);
    if (claimed.run === run) return claimed;
    const settled = claimed.run === '' ? 1 : 0;
    await transaction.execute(
      'UPDATE cache_barrier SET run = ?, generation = generation + 1, settled = ? WHERE id = 1',
      [run, settled],
    );
    return await lock(transaction, database.dialect.forUpdate);
  });
}

/** Says that nobody answers from another Redis than that of this claim any more. Nothing, if another one counts by now. */
export async function settleClaim(database: Database, generation: string): Promise<void> {
  const { integer } = database.dialect;
  await database.execute(`UPDATE cache_barrier SET settled = 1 WHERE id = 1 AND generation = ${integer}`, [generation]);
}

/** The claim that counts now. */
export async function readClaim(database: Database): Promise<Claim> {
  const [row] = await database.query(select);
  return row === undefined ? { run: '', generation: '0', settled: true } : toClaim(row);
}

const select = 'SELECT run, generation, settled FROM cache_barrier WHERE id = 1';

async function lock(transaction: Queryable, mode: string): Promise<Claim> {
  for (;;) {
    const [row] = await transaction.query(`${select}${mode}`);
    if (row !== undefined) return toClaim(row);
    try {
      // The first one ever; its transaction then has the whole row.
      await transaction.execute("INSERT INTO cache_barrier (id, run, generation, settled) VALUES (1, '', 0, 1)");
    } catch (error) {
      if (!(error instanceof ConstraintViolation)) throw error;
    }
  }
}

function toClaim([run, generation, settled]: Row): Claim {
  return { run: String(run), generation: String(generation), settled: Number(settled) === 1 };
}
