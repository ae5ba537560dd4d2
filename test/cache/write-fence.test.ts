import { describe, expect, jest, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/cache/store.ts';
import { OutcomeUnknown, WriteRefused } from '../../src/cache/write-fence.ts';
import { counted, openEngine, published } from '../harness/engine.ts';
import { settle } from '../harness/manual-clock.ts';

const nothing = async (): Promise<void> => undefined;

describe('writing through the cache', () => {
  test('fences before the commit, releases after it, and only then resolves', async () => {
    const { cache, store, shared } = openEngine();
    await cache.read('k', counted('old'));
    const order: string[] = [];
    await cache.write(async (beforeCommit) => {
      await beforeCommit(['k'], nothing);
      order.push(...store.asked.splice(0), 'commit');
      expect(await shared.acquire('k', 100)).toEqual({ kind: 'bypass' });
    });
    order.push(...store.asked);
    expect(order).toEqual(['read', 'acquire', 'fill', 'fence', 'commit', 'release']);
    expect((await cache.read('k', counted('new'))).value.toString()).toBe('new');
  });

  test('a write that changed nothing touches no key', async () => {
    const { cache, store } = openEngine();
    expect(await cache.write(async () => 'nothing')).toBe('nothing');
    expect(store.asked).toEqual([]);
  });

  test('a transaction that rolls back takes its fence away', async () => {
    const { cache, shared } = openEngine();
    const failing = cache.write(async (beforeCommit) => {
      await beforeCommit(['k'], nothing);
      throw new Error('rolled back');
    });
    await expect(failing).rejects.toThrow('rolled back');
    expect((await shared.acquire('k', 100)).kind).toBe('lease');
    await expect(cache.write(async () => Promise.reject(new Error('before the fence')))).rejects.toThrow(
      'before the fence',
    );
  });

  test('a commit of unknown outcome leaves the fence to run out', async () => {
    const { cache, clock, shared } = openEngine();
    const unknown = cache.write(async (beforeCommit) => {
      await beforeCommit(['k'], nothing);
      throw new OutcomeUnknown('not answered');
    });
    await expect(unknown).rejects.toBeInstanceOf(OutcomeUnknown);
    await clock.advance(29_999);
    expect(await shared.acquire('k', 100)).toEqual({ kind: 'bypass' });
    await clock.advance(2);
    expect((await shared.acquire('k', 100)).kind).toBe('lease');
  });

  test('a writer that lives extends its fence while its commit is out', async () => {
    const { cache, clock, shared } = openEngine();
    const commit = Promise.withResolvers<void>();
    const writing = cache.write(async (beforeCommit) => {
      await beforeCommit(['k'], nothing);
      await commit.promise;
    });
    await settle();
    for (let seconds = 0; seconds < 120; seconds += 10) {
      await clock.advance(10_000);
      expect(await shared.acquire('k', 100)).toEqual({ kind: 'bypass' });
    }
    commit.resolve();
    await writing;
    expect((await shared.acquire('k', 100)).kind).toBe('lease');
    await clock.advance(60_000);
    expect((await shared.acquire('k', 100)).kind).toBe('lease');
  });

  test('no extension comes behind the release, where nobody would take it away', async () => {
    const { cache, clock, store } = openEngine();
    const released = Promise.withResolvers<void>();
    const release = store.release;
    store.release = async (...args) => {
      await release(...args);
      await released.promise;
    };
    const writing = cache.write(async (beforeCommit) => beforeCommit(['k'], nothing));
    await settle();
    await clock.advance(20_000);
    expect(store.asked).toEqual(['fence', 'release']);
    released.resolve();
    await writing;
  });

  test('a transaction that is tried again after a deadlock fences once more, and ends unfenced', async () => {
    const { cache, shared } = openEngine();
    await cache.write(async (beforeCommit) => {
      await beforeCommit(['k', 'first'], nothing);
      await beforeCommit(['k', 'other'], nothing);
    });
    expect((await shared.acquire('k', 100)).kind).toBe('lease');
    expect((await shared.acquire('first', 100)).kind).toBe('lease');
    expect((await shared.acquire('other', 100)).kind).toBe('lease');
  });

  test('when the fence cannot be set, the names go into the transaction, and the release is tried all the same', async () => {
    const { cache, store, outbox } = openEngine();
    const recorded: string[] = [];
    store.cut.add('fence');
    await cache.write(async (beforeCommit) =>
      beforeCommit(['k'], async (names) => {
        recorded.push(...names);
      }),
    );
    expect(recorded).toEqual(['k']);
    expect(store.asked).toEqual(['fence', 'release']);
    store.cut.add('release');
    await cache.write(async (beforeCommit) => beforeCommit(['k'], nothing));
    expect(outbox.names).toEqual([]);
  });

  test('with `reject` a write is refused while the store cannot be reached', async () => {
    const { cache, store } = openEngine({ withoutStore: 'reject' });
    store.cut.add('fence');
    const recordInTransaction = jest.fn(nothing);
    const refused = cache.write(async (beforeCommit) => beforeCommit(['k'], recordInTransaction));
    await expect(refused).rejects.toBeInstanceOf(WriteRefused);
    expect(recordInTransaction).not.toHaveBeenCalled();
  });

  test('a release that does not reach the store goes to the outbox, and the write is acknowledged', async () => {
    const { cache, store, outbox, clock, shared } = openEngine();
    store.cut.add('release');
    await cache.write(async (beforeCommit) => beforeCommit(['k'], nothing));
    expect(outbox.names).toEqual(['k']);
    await clock.advance(1_000);
    expect(outbox.names).toEqual(['k']);
    store.cut.clear();
    const events = await published(() => clock.advance(1_000));
    expect(outbox.names).toEqual([]);
    expect(events).toContainEqual({ type: 'outbox', swept: 1 });
    // The sweep invalidates; the fence itself stands until its deadline, which only costs queries.
    expect(await shared.acquire('k', 100)).toEqual({ kind: 'bypass' });
  });

  test('an outbox that fails after the commit does not undo the acknowledgement', async () => {
    const { cache, store, outbox } = openEngine();
    store.cut.add('release');
    outbox.record = () => Promise.reject(new Error('database down'));
    await expect(cache.write(async (beforeCommit) => beforeCommit(['k'], nothing))).resolves.toBeUndefined();
  });

  test('an invalidation deletes, and one that does not reach the store is recorded and swept', async () => {
    const { cache, store, outbox, clock } = openEngine();
    await cache.read('k', counted('old'));
    await cache.invalidate(['k']);
    expect(await cache.read('k', counted('new'))).toMatchObject({ outcome: { kind: 'loaded' } });
    store.cut.add('release');
    store.asked.length = 0;
    await cache.invalidate(['k']);
    expect(outbox.names).toEqual(['k']);
    // Tried again behind the row: a store that was trusted again in between must learn that something is left.
    expect(store.asked).toEqual(['release', 'release']);
    store.cut.clear();
    await clock.advance(1_000);
    expect(outbox.names).toEqual([]);
    expect((await cache.read('k', counted('newer'))).value.toString()).toBe('newer');
  });

  test('an invalidation may leave a fence that runs out by itself; one that is not reached is recorded', async () => {
    const { cache, store, outbox, clock } = openEngine();
    await cache.read('k', counted('old'));
    await cache.invalidate(['k'], { fenceMs: 200 });
    expect(await cache.read('k', counted('new'))).toMatchObject({ outcome: { kind: 'bypass' } });
    await clock.advance(201);
    expect(await cache.read('k', counted('new'))).toMatchObject({ outcome: { kind: 'loaded' } });
    const lift = await cache.invalidate(['k'], { fenceMs: 200 });
    expect(await cache.read('k', counted('newer'))).toMatchObject({ outcome: { kind: 'bypass' } });
    await lift();
    expect(await cache.read('k', counted('newer'))).toMatchObject({ outcome: { kind: 'loaded' } });
    await (await cache.invalidate(['k']))();
    store.cut.add('fence');
    await cache.invalidate(['k'], { fenceMs: 200 });
    expect(outbox.names).toEqual(['k']);
  });

  test('all names with a prefix are invalidated in the store that is in use; else that fails', async () => {
    const { cache, store, outbox } = openEngine();
    await cache.read('k:1', counted('old'));
    await cache.read('l:1', counted('old'));
    const events = await published(() => cache.invalidateAll('k:'));
    expect(events).toContainEqual({ type: 'invalidate-all', prefix: 'k:' });
    expect((await cache.read('k:1', counted('new'))).value.toString()).toBe('new');
    expect((await cache.read('l:1', counted('new'))).value.toString()).toBe('old');
    store.run = 'here';
    outbox.inUse = 'there';
    await expect(cache.invalidateAll('k:')).rejects.toBeInstanceOf(StoreUnavailable);
    store.cut.add('releaseAll');
    await expect(cache.invalidateAll('k:')).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test('a fence counts only in the store that is in use: else the names go into the outbox, with the transaction', async () => {
    const { cache, store } = openEngine();
    store.run = 'here';
    const recorded: string[][] = [];
    const write = (inUse: string) =>
      cache.write((beforeCommit) => beforeCommit(['k'], async (names) => void recorded.push([...names]), inUse));
    await write('here');
    expect(recorded).toEqual([]);
    await write('elsewhere');
    expect(recorded).toEqual([['k']]);
  });

  test('an invalidation counts only in the store that is in use: else the names wait in the outbox for the others', async () => {
    const { cache, store, outbox } = openEngine();
    store.run = 'here';
    outbox.inUse = 'here';
    await cache.invalidate(['k']);
    expect(outbox.names).toEqual([]);
    outbox.inUse = 'elsewhere';
    const events = await published(() => cache.invalidate(['k']));
    expect(outbox.names).toEqual(['k']);
    expect(events).toContainEqual({ type: 'invalidate', names: ['k'], reached: false, source: 'broadcast' });
    // Nobody can go to another store without the database.
    outbox.names = [];
    outbox.isInUse = () => Promise.reject(new Error('database down'));
    await cache.invalidate(['k']);
    expect(outbox.names).toEqual([]);
  });

  test('what a store was told while another one came in its place counts for neither', async () => {
    const { cache, store, outbox } = openEngine();
    store.run = 'here';
    outbox.inUse = 'here';
    const release = store.release.bind(store);
    store.release = async (...args) => {
      await release(...args);
      store.run = 'elsewhere';
    };
    await cache.invalidate(['k']);
    expect(outbox.names).toEqual(['k']);
    store.run = 'here';
    await cache.sweep();
    expect(outbox.names).toEqual(['k']);
    store.release = release;
    store.run = 'here';
    await cache.sweep();
    expect(outbox.names).toEqual([]);
  });

  test('an error of the store that is no outage is not taken for one', async () => {
    const { cache, store } = openEngine();
    store.fence = () => Promise.reject(new TypeError('bug'));
    await expect(cache.write(async (beforeCommit) => beforeCommit(['k'], nothing))).rejects.toThrow('bug');
  });

  test('names that a part of the store cannot be told of stay in the outbox, and hold up no others', async () => {
    const { cache, store, outbox } = openEngine();
    const release = store.release.bind(store);
    store.release = (names, token) =>
      names.includes('away') ? Promise.reject(new StoreUnavailable('away')) : release(names, token);
    outbox.names.push('one', 'away', 'two');
    await expect(cache.sweep()).rejects.toThrow('1 names of the outbox could not be invalidated');
    expect(outbox.names).toEqual(['away']);
    // A server of a cluster asks for its own names only.
    outbox.names.push('three');
    await cache.sweep((name) => name === 'three');
    expect(outbox.names).toEqual(['away']);
  });

  test('an error of the store that is no outage ends a sweep', async () => {
    const { cache, store, outbox } = openEngine();
    store.release = () => Promise.reject(new TypeError('bug'));
    outbox.names.push('k');
    await expect(cache.sweep()).rejects.toThrow('bug');
    expect(outbox.names).toEqual(['k']);
  });

  test('closing waits for the sweep that is under way, and no sweep begins after it', async () => {
    const { cache, outbox, clock } = openEngine();
    const sweep = Promise.withResolvers<number>();
    const spy = jest.spyOn(outbox, 'sweep').mockReturnValue(sweep.promise);
    await clock.advance(1_000);
    let closed = false;
    const closing = cache.close().then(() => {
      closed = true;
    });
    await settle();
    expect(closed).toBe(false);
    sweep.resolve(0);
    await closing;
    await clock.advance(5_000);
    expect(spy).toHaveBeenCalledTimes(1);
  });
});
