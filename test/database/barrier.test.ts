import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { claimRun, holdBarrier, passBarrier, readClaim, settleClaim, storeInUse } from '../../src/database/barrier.ts';
import type { Database } from '../../src/database/database.ts';
import { migrate } from '../../src/database/migrate.ts';
import { databases, openMysql, type OwnDatabase } from '../harness/databases.ts';

describe.each(databases.map(({ name, open }) => [name, open] as const))('the barrier in %s', (_name, open) => {
  let own: OwnDatabase;
  let database: Database;
  /** Another instance of the service, where the database is one that several can use. */
  let other: Database;

  beforeAll(async () => {
    own = await open();
    ({ database } = own);
    await migrate(database);
    other = own.schema === undefined ? database : openMysql(own.schema);
  });
  beforeEach(async () => {
    await database.execute('DELETE FROM cache_barrier');
  });
  afterAll(async () => {
    await other.close();
    await own.remove();
  });

  const hold = async (until: Promise<void>, log: string[], name: string, on = database): Promise<void> => {
    await on.transaction(async (transaction) => {
      await holdBarrier(transaction, on.dialect);
      log.push(`${name} holds`);
      await until;
      log.push(`${name} ends`);
    });
  };

  test.each([
    ['that was never used before', false],
    ['that was used before', true],
  ])('one %s is passed when those that hold it have ended, and not before', async (_which, used) => {
    if (used) await passBarrier(database);
    const gate = Promise.withResolvers<void>();
    const log: string[] = [];
    const holding = hold(gate.promise, log, 'writer');
    await untilLogged(log, 'writer holds');
    const passing = passBarrier(other).then(() => log.push('passed'));
    // Where one waits for the other, this is answered first: the passing has been asked for by then.
    if (own.schema !== undefined) await other.ping();
    gate.resolve();
    await Promise.all([holding, passing]);
    expect(log).toEqual(['writer holds', 'writer ends', 'passed']);
  });

  test('a transaction that was rolled back holds it no longer', async () => {
    const failing = database.transaction(async (transaction) => {
      await holdBarrier(transaction, database.dialect);
      throw new Error('changed my mind');
    });
    await expect(failing).rejects.toThrow('changed my mind');
    await expect(passBarrier(other)).resolves.toBe(true);
  });

  test('one that is held for longer than others may wait is not passed, and can be tried again', async () => {
    if (own.schema === undefined) return;
    const impatient = openMysql(own.schema, { statementTimeoutMs: 1_000 });
    const gate = Promise.withResolvers<void>();
    const log: string[] = [];
    const holding = hold(gate.promise, log, 'writer');
    await untilLogged(log, 'writer holds');
    expect(await passBarrier(impatient)).toBe(false);
    gate.resolve();
    await holding;
    expect(await passBarrier(impatient)).toBe(true);
    await impatient.close();
    await expect(passBarrier(impatient)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  test('whoever comes while it is being passed holds it afterwards', async () => {
    const gate = Promise.withResolvers<void>();
    const log: string[] = [];
    const first = hold(gate.promise, log, 'first');
    await untilLogged(log, 'first holds');
    const passing = passBarrier(other);
    gate.resolve();
    const second = hold(Promise.resolve(), log, 'second');
    await Promise.all([first, passing, second]);
    expect(log.slice(-2)).toEqual(['second holds', 'second ends']);
  });

  test('a run is claimed once; another one, and the first again, are claims of their own', async () => {
    expect(await readClaim(database)).toEqual({ run: '', generation: '0', settled: true });
    const first = await claimRun(database, 'a');
    expect(await claimRun(other, 'a')).toEqual(first);
    expect(await readClaim(other)).toEqual({ run: 'a', generation: first.generation, settled: true });
    const second = await claimRun(other, 'b');
    const third = await claimRun(database, 'a');
    expect(new Set([first, second, third].map(({ generation }) => generation)).size).toBe(3);
    expect(await readClaim(other)).toEqual({ run: 'a', generation: third.generation, settled: false });
  });

  test('a claim counts for writes once it is settled, which is not mistaken for another claim', async () => {
    const inUse = async (): Promise<string> => storeInUse(await readClaim(database));
    expect(await inUse()).toBe('');
    const first = await claimRun(database, 'a');
    expect(await inUse()).toBe('a');
    const second = await claimRun(other, 'b');
    await settleClaim(database, first.generation);
    expect(await inUse()).toBe('');
    await settleClaim(database, second.generation);
    expect(await inUse()).toBe('b');
  });

  test('who holds it learns which run is in use, and that stays until the end', async () => {
    await claimRun(database, 'a');
    const gate = Promise.withResolvers<void>();
    const log: string[] = [];
    const holding = database.transaction(async (transaction) => {
      log.push((await holdBarrier(transaction, database.dialect)).run);
      await gate.promise;
      log.push('ends');
    });
    await untilLogged(log, 'a');
    const claiming = claimRun(other, 'b').then(() => log.push('claimed'));
    if (own.schema !== undefined) await other.ping();
    gate.resolve();
    await Promise.all([holding, claiming]);
    expect(log).toEqual(['a', 'ends', 'claimed']);
  });

  test('many may hold it at once', async () => {
    if (own.schema === undefined) return;
    await passBarrier(database);
    const gate = Promise.withResolvers<void>();
    const log: string[] = [];
    const all = ['a', 'b', 'c'].map((name) => hold(gate.promise, log, name, name === 'c' ? other : database));
    for (const name of ['a', 'b', 'c']) await untilLogged(log, `${name} holds`);
    gate.resolve();
    await Promise.all(all);
    expect(log).toHaveLength(6);
  });
});

async function untilLogged(log: readonly string[], line: string): Promise<void> {
  while (!log.includes(line)) await new Promise((resolve) => setImmediate(resolve));
}
