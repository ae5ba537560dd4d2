import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Database } from '../../src/database/database.ts';
import { claimRun } from '../../src/database/barrier.ts';
import { migrate } from '../../src/database/migrate.ts';
import { DatabaseOutbox, recordNames } from '../../src/database/outbox.ts';
import { databases, type OwnDatabase } from '../harness/databases.ts';

describe.each(databases.map(({ name, open }) => [name, open] as const))('the outbox in %s', (_name, open) => {
  let own: OwnDatabase;
  let database: Database;
  let outbox: DatabaseOutbox;

  beforeAll(async () => {
    own = await open();
    ({ database } = own);
    outbox = new DatabaseOutbox(database);
    await migrate(database);
  });
  beforeEach(async () => {
    await database.execute('DELETE FROM cache_outbox');
  });
  afterAll(() => own.remove());

  const waiting = async (): Promise<string[]> =>
    (await database.query('SELECT cache_key FROM cache_outbox ORDER BY id')).flat().map(String);

  const all = (names: readonly string[], run?: string) => ({ names, run });

  /** Sweeps, and returns the batches that were to be invalidated. */
  const sweep = async (run?: string) => {
    const batches: string[][] = [];
    const swept = await outbox.sweep(async (names) => {
      batches.push([...names]);
      return all(names, run);
    });
    return { swept, batches };
  };

  test('hands out what was recorded, in that order, each name once, and forgets it', async () => {
    await outbox.record(['post:1', 'posts:all']);
    await outbox.record(['post:2', 'posts:all']);
    expect(await sweep()).toEqual({ swept: 4, batches: [['post:1', 'posts:all', 'post:2']] });
    expect(await sweep()).toEqual({ swept: 0, batches: [] });
  });

  test('recording nothing is nothing', async () => {
    await outbox.record([]);
    expect(await waiting()).toEqual([]);
  });

  test('keeps the case and the last blank of a name', async () => {
    await outbox.record(['post:a', 'post:A', 'post:a ']);
    expect((await sweep()).batches).toEqual([['post:a', 'post:A', 'post:a ']]);
  });

  test('names that a transaction recorded are there when it committed, and not when it was rolled back', async () => {
    await database.transaction((transaction) => recordNames(transaction, ['post:1']));
    const failing = database.transaction(async (transaction) => {
      await recordNames(transaction, ['post:2']);
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect(await waiting()).toEqual(['post:1']);
  });

  test('sweeps any number of names, in batches, oldest first', async () => {
    const names = Array.from({ length: 1_201 }, (_, index) => `post:${index}`);
    for (let from = 0; from < names.length; from += 400) await outbox.record(names.slice(from, from + 400));
    const { swept, batches } = await sweep();
    expect(swept).toBe(1_201);
    expect(batches.map(({ length }) => length)).toEqual([500, 500, 201]);
    expect(batches.flat()).toEqual(names);
    expect(await waiting()).toEqual([]);
  });

  test('a batch that is just full is followed by a look for more', async () => {
    await outbox.record(Array.from({ length: 500 }, (_, index) => `post:${index}`));
    expect((await sweep()).swept).toBe(500);
  });

  test('keeps the names when they cannot be invalidated, and those of later batches', async () => {
    await outbox.record(Array.from({ length: 600 }, (_, index) => `post:${index}`));
    let batches = 0;
    const failing = outbox.sweep(async (names) => {
      batches += 1;
      if (batches === 2) throw new Error('the store is away');
      return all(names);
    });
    await expect(failing).rejects.toThrow('the store is away');
    expect(await waiting()).toEqual(Array.from({ length: 100 }, (_, index) => `post:${500 + index}`));
    expect((await sweep()).swept).toBe(100);
  });

  test('keeps just the names that could not be invalidated, and goes on with the next batch', async () => {
    await outbox.record(['post:1', 'post:away', 'post:2', 'post:away']);
    await outbox.record(Array.from({ length: 600 }, (_, index) => `post:${index}`));
    const swept = await outbox.sweep(async (names) => all(names.filter((name) => name !== 'post:away')));
    expect(swept).toBe(602);
    expect(await waiting()).toEqual(['post:away', 'post:away']);
    expect((await sweep()).batches).toEqual([['post:away']]);
  });

  test('names that are recorded while a sweep runs wait for the next', async () => {
    await outbox.record(['post:1']);
    const swept = await outbox.sweep(async (names) => {
      await outbox.record(['post:2']);
      return all(names);
    });
    expect(swept).toBe(1);
    expect(await waiting()).toEqual(['post:2']);
  });

  test('a row with an older id that commits during a sweep is not lost', async () => {
    // SQLite has one writer at a time: there no id can be given out before another and committed after it.
    if (database.dialect.name === 'sqlite') return;
    const recorded = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const early = database.transaction(async (transaction) => {
      await recordNames(transaction, ['post:early']);
      recorded.resolve();
      await gate.promise;
    });
    await recorded.promise;
    await outbox.record(['post:late']);
    const batches: string[][] = [];
    await outbox.sweep(async (names) => {
      batches.push([...names]);
      gate.resolve();
      await early;
      return all(names);
    });
    expect(batches).toEqual([['post:late']]);
    expect(await waiting()).toEqual(['post:early']);
    expect((await sweep()).batches).toEqual([['post:early']]);
  });

  test('what was invalidated in a store that is not in use, or not any more, is not forgotten', async () => {
    await outbox.record(['post:1']);
    await claimRun(database, 'one');
    expect(await sweep('another')).toEqual({ swept: 0, batches: [['post:1']] });
    const swept = await outbox.sweep(async (names) => {
      await claimRun(database, 'another');
      return all(names, 'one');
    });
    expect(swept).toBe(0);
    expect(await waiting()).toEqual(['post:1']);
    expect([await outbox.isInUse('one'), await outbox.isInUse('another')]).toEqual([false, true]);
    expect((await sweep('another')).swept).toBe(1);
    expect(await waiting()).toEqual([]);
  });

  test('two sweeps at once invalidate each name at least once, and both end', async () => {
    const names = Array.from({ length: 700 }, (_, index) => `post:${index}`);
    await outbox.record(names);
    const [one, two] = await Promise.all([sweep(), sweep()]);
    expect(new Set([...one.batches.flat(), ...two.batches.flat()])).toEqual(new Set(names));
    expect(await waiting()).toEqual([]);
  });
});
