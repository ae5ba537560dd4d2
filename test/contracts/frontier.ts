import { beforeEach, describe, expect, test } from '@jest/globals';
import type { Key } from '../../src/cache/key.ts';
import type { CacheStore, Commit, Since } from '../../src/cache/store.ts';

const leaseMs = 5_000;
const fenceMs = 5_000;
let count = 0;

/** What a store says that a load must show. Parts of one name: in a cluster each slot knows its own. */
export function describeFrontier(
  tested: () => { readonly store: CacheStore; elapse(ms: number): Promise<void> },
): void {
  describe('what a load must show', () => {
    let store: CacheStore;
    let key: Key;

    beforeEach(async () => {
      ({ store } = tested());
      count += 1;
      key = `shown:${count}`;
      await store.release([key], store.unique());
    });

    const lease = async (): Promise<{ of: Key; token: string; since: Since }> => {
      count += 1;
      const of = `${key}#${count}`;
      const acquired = await store.acquire(of, leaseMs);
      if (acquired.kind !== 'lease') throw new Error(`expected a lease, got ${acquired.kind}`);
      return { of, token: acquired.token, since: acquired.since };
    };
    const position = async (): Promise<string | undefined> => (await lease()).since.position;
    const commit = async (committed?: Commit): Promise<void> => {
      const token = store.unique();
      await store.fence([key], token, fenceMs);
      await store.release([key], token, committed);
    };
    /** As a loader does that has asked the primary. */
    const find = async (found: string, leased?: Since): Promise<void> => {
      const { of, token, since } = await lease();
      const fill = { value: Buffer.from('x'), meta: '', ttlMs: 60_000, loadMs: 1 };
      await store.fill(of, token, { ...fill, found: { since: leased ?? since, position: found } });
    };
    /** Its writer died, or does not know whether it has committed. */
    const leaveFence = async (): Promise<void> => {
      await store.fence([key], 'dead', 200);
      await tested().elapse(300);
    };

    test('is not known until somebody has found it out, and then is the latest commit', async () => {
      expect(await position()).toBeUndefined();
      await find('log 7');
      expect(await position()).toBe('log 7');
      await commit({ position: 'log 12' });
      expect(await position()).toBe('log 12');
      await commit({ position: 'log 9' });
      await commit('nothing');
      expect(await position()).toBe('log 12');
    });

    test.each<[string, () => Promise<void>]>([
      ['a commit that nobody can place', () => commit('unknown')],
      ['a commit of another log', () => commit({ position: 'other log 99' })],
      ['an invalidation', () => store.release([key], store.unique())],
      ['an invalidation of all', () => store.releaseAll(key)],
      ['a fence that ran out', leaveFence],
      [
        'a fence that ran out, and that another writer found',
        async () => {
          await leaveFence();
          await store.fence([key], 'other', fenceMs);
          await store.release([key], 'other', 'nothing');
        },
      ],
      [
        'a fence that ran out, and that a release found',
        async () => {
          await leaveFence();
          await store.release([key], 'other', 'nothing');
        },
      ],
    ])('is not known behind %s', async (_, happen) => {
      await find('log 7');
      expect(await position()).toBe('log 7');
      await happen();
      expect(await position()).toBeUndefined();
    });

    test('stays unknown when it was found out for what stood there before', async () => {
      const { since: early } = await lease();
      await commit({ position: 'log 5' });
      await find('log 4', early);
      expect(await position()).toBeUndefined();
      await find('log 5');
      expect(await position()).toBe('log 5');
      await find('log 3', early);
      expect(await position()).toBe('log 5');
    });
  });
}
