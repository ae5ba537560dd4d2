import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Inspection } from '../../src/cache/inspection.ts';
import { type Key, partOf } from '../../src/cache/key.ts';
import { Rope } from '../../src/cache/rope.ts';
import type { CacheStore, Entry, Fill, Found } from '../../src/cache/store.ts';
import { describeFrontier } from './frontier.ts';
import { describeInspection } from './inspection.ts';

/** One implementation of the port, ready to be used. */
export interface StoreUnderTest {
  readonly store: CacheStore & { readonly inspection: Inspection };
  /** Lets time pass on the clock of the store's deadlines. */
  elapse(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** What every `CacheStore` must hold: run against each implementation. */
export function describeCacheStore(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the port CacheStore, held by ${name}`, () => {
    let tested: StoreUnderTest;
    let store: CacheStore;
    let count = 0;
    let key: Key;

    beforeAll(async () => {
      tested = await open();
      ({ store } = tested);
    });
    afterAll(() => tested.close());
    beforeEach(() => {
      count += 1;
      key = `thing:${count}`;
    });

    const leaseMs = 5_000;
    const fenceMs = 5_000;
    const fillWith = (text: string, more: Partial<Fill> = {}): Fill => ({
      value: Buffer.from(text),
      meta: '',
      ttlMs: 60_000,
      loadMs: 3,
      ...more,
    });

    const takeLease = async (of: Key, ms = leaseMs): Promise<string> => {
      const acquired = await store.acquire(of, ms);
      if (acquired.kind !== 'lease') throw new Error(`expected the lease of ${of}, got ${acquired.kind}`);
      return acquired.token;
    };
    const put = async (of: Key, text: string, more: Partial<Fill> = {}): Promise<string> => {
      const token = await takeLease(of);
      expect(await store.fill(of, token, fillWith(text, more))).toEqual({ stored: true });
      return token;
    };
    const textOf = (entry: Entry | null): string | undefined => entry?.value.toString();

    describeInspection(() => tested.store);

    test('a key that nobody filled has no version and no value', async () => {
      expect(await store.validate(key)).toBeNull();
      expect(await store.read(key)).toBeNull();
    });

    test('a filled value is read back byte for byte, with its meta, its version and its time to live', async () => {
      const value = Buffer.from([0, 255, 10, 13, 0x7b, 0xc3, 0x28]);
      const version = await put(key, '', { value, meta: '"tag" next', ttlMs: 60_000 });
      const entry = await store.read(key);
      expect(entry?.value.equals(value)).toBe(true);
      expect(entry).toMatchObject({ version, meta: '"tag" next', loadMs: 3 });
      expect(entry?.ttlMs).toBeGreaterThan(50_000);
      expect(entry?.ttlMs).toBeLessThanOrEqual(60_000);
      expect(await store.validate(key)).toBe(version);
      expect(await store.acquire(key, leaseMs)).toMatchObject({ kind: 'hit', entry: { version, meta: '"tag" next' } });
    });

    test('an empty value and one of five megabytes are values', async () => {
      await put(key, '');
      expect(textOf(await store.read(key))).toBe('');
      const large = Buffer.alloc(5 * 1024 * 1024, 'x');
      await put(`${key}:large`, '', { value: large });
      expect((await store.read(`${key}:large`))?.value.equals(large)).toBe(true);
    });

    test('many validations asked for at once are each answered for their own key', async () => {
      const keys = Array.from({ length: 50 }, (_, index) => `${key}:${index}`);
      const versions = await Promise.all(keys.map((each) => put(each, each)));
      const validated = await Promise.all([...keys, `${key}:none`].map((each) => store.validate(each)));
      expect(validated).toEqual([...versions, null]);
      const claims = [...keys, keys[0] ?? '', `${key}:none`].map((each, at) => ({
        key: each,
        version: versions[at] ?? 'another',
      }));
      const told: (boolean | undefined)[] = [];
      await store.confirm(claims, (at, isCurrent) => {
        told[at] = isCurrent;
      });
      expect(told).toEqual([...versions.map(() => true), false, false]);
      const found: Found[] = [];
      await store.readAll([...keys, `${key}:none`], (at, each) => {
        found[at] = each;
      });
      expect(found.pop()).toBe('absent');
      expect(found).toEqual(
        await Promise.all(keys.map((each) => store.read(each))).then((entries) =>
          entries.map((entry) => ({ ...entry, ttlMs: expect.any(Number) })),
        ),
      );
    });

    test('one reader gets the lease, the others wait for no longer than it lasts', async () => {
      await takeLease(key);
      const second = await store.acquire(key, leaseMs);
      expect(second.kind).toBe('wait');
      if (second.kind === 'wait') expect(second.remainingMs).toBeGreaterThan(0);
      if (second.kind === 'wait') expect(second.remainingMs).toBeLessThanOrEqual(leaseMs);
    });

    test.each<[string, (token: string) => Promise<unknown>]>([
      ['filled', (token) => store.fill(key, token, fillWith('v'))],
      ['given back', (token) => store.surrender(key, token)],
      ['taken away by a fence', () => store.fence([key], 'writer', fenceMs)],
      ['taken away by an invalidation', () => store.release([key], store.unique())],
    ])('who waits for a lease hears when it is %s', async (_how, end) => {
      const part = partOf(key, 'limit=1');
      const token = await takeLease(key);
      await takeLease(part);
      const waits = await Promise.all([store.acquire(key, leaseMs), store.acquire(key, leaseMs)]);
      const others = await store.acquire(part, leaseMs);
      await end(token);
      for (const wait of [...waits, others]) {
        if (wait.kind !== 'wait') throw new Error(`expected to wait, got ${wait.kind}`);
        // Hangs, and so fails, when nothing is heard. That a part's waiters are told of its name's end does no harm.
        await wait.notice.heard;
        wait.notice.close();
      }
    });

    test('a lease past its deadline goes to the next reader, and the first can fill no more', async () => {
      const slow = await takeLease(key, 30);
      await tested.elapse(31);
      const next = await takeLease(key);
      expect(await store.fill(key, slow, fillWith('old'))).toEqual({ stored: false, reason: 'lease-lost' });
      expect(await store.fill(key, next, fillWith('new'))).toEqual({ stored: true });
      expect(textOf(await store.read(key))).toBe('new');
    });

    test('a token fills once', async () => {
      const token = await put(key, 'first');
      expect(await store.fill(key, token, fillWith('again'))).toEqual({ stored: false, reason: 'lease-lost' });
      expect(textOf(await store.read(key))).toBe('first');
    });

    test('a lease that was given back is free at once; a foreign token gives nothing back', async () => {
      const token = await takeLease(key);
      await store.surrender(key, 'foreign');
      expect((await store.acquire(key, leaseMs)).kind).toBe('wait');
      await store.surrender(key, token);
      expect((await store.acquire(key, leaseMs)).kind).toBe('lease');
    });

    test('an entry ends with its time to live', async () => {
      await put(key, 'short', { ttlMs: 30 });
      await tested.elapse(31);
      expect(await store.read(key)).toBeNull();
      expect((await store.acquire(key, leaseMs)).kind).toBe('lease');
    });

    test('a fence deletes the value, and whoever loads meanwhile bypasses and cannot fill', async () => {
      await put(key, 'old');
      await store.fence([key], 'writer', fenceMs);
      expect(await store.validate(key)).toBeNull();
      expect(await store.read(key)).toBeNull();
      expect(await store.acquire(key, leaseMs)).toEqual({ kind: 'bypass' });
      await store.release([key], 'writer');
      expect((await store.acquire(key, leaseMs)).kind).toBe('lease');
    });

    test('a loader that began before the fence cannot fill during it, nor after it', async () => {
      const token = await takeLease(key);
      await store.fence([key], 'writer', fenceMs);
      expect(await store.fill(key, token, fillWith('old'))).toEqual({ stored: false, reason: 'fenced' });
      await store.release([key], 'writer');
      expect(await store.fill(key, token, fillWith('old'))).toEqual({ stored: false, reason: 'lease-lost' });
      expect(await store.read(key)).toBeNull();
    });

    test("a release opens the writer's own fence and no other", async () => {
      await store.fence([key], 'one', fenceMs);
      await store.fence([key], 'two', fenceMs);
      await store.release([key], 'one');
      expect(await store.acquire(key, leaseMs)).toEqual({ kind: 'bypass' });
      await store.release([key], 'two');
      expect((await store.acquire(key, leaseMs)).kind).toBe('lease');
    });

    test('a fence that was left behind runs out, and one that is set again with its token lasts anew', async () => {
      await store.fence([key], 'crashed', 40);
      await store.fence([key], 'slow', 40);
      await store.fence([key], 'slow', fenceMs);
      await tested.elapse(41);
      expect(await store.acquire(key, leaseMs)).toEqual({ kind: 'bypass' });
      await store.fence([key], 'slow', 40);
      await tested.elapse(41);
      expect((await store.acquire(key, leaseMs)).kind).toBe('lease');
    });

    test('a release with a token that holds no fence invalidates: value, version and lease are gone', async () => {
      await put(key, 'old');
      await store.release([key], store.unique());
      expect(await store.read(key)).toBeNull();
      const token = await takeLease(key);
      await store.release([key], store.unique());
      expect(await store.fill(key, token, fillWith('old'))).toEqual({ stored: false, reason: 'lease-lost' });
    });

    test('a late fill does not disturb the lease that followed', async () => {
      const late = await takeLease(key);
      await store.release([key], store.unique());
      const current = await takeLease(key);
      await store.fill(key, late, fillWith('old'));
      await store.surrender(key, late);
      expect((await store.acquire(key, leaseMs)).kind).toBe('wait');
      expect(await store.fill(key, current, fillWith('new'))).toEqual({ stored: true });
    });

    test('several names are fenced and released in one call, and their neighbours stay', async () => {
      const [other, neighbour] = [`${key}:other`, `${key}:neighbour`];
      await Promise.all([key, other, neighbour].map((each) => put(each, each)));
      await store.fence([key, other], 'writer', fenceMs);
      expect(await Promise.all([key, other, neighbour].map((each) => store.validate(each)))).toEqual([
        null,
        null,
        expect.any(String),
      ]);
      await store.release([key, other], 'writer');
      expect((await store.acquire(other, leaseMs)).kind).toBe('lease');
    });

    test('all names with a prefix are released: values, parts and leases; their neighbours stay', async () => {
      const prefix = `pre*fix?${count}:`;
      const names = Array.from({ length: 150 }, (_, index) => `${prefix}${index}`);
      const neighbours = [key, `pre-fix?${count}:1`, `x${prefix}1`, prefix.slice(0, -1)];
      await Promise.all([...names, ...neighbours, partOf(`${prefix}1`, 'limit=1')].map((each) => put(each, each)));
      const loading = await takeLease(`${prefix}loading`);
      await store.releaseAll(prefix);
      expect(await Promise.all(names.map((each) => store.validate(each)))).toEqual(names.map(() => null));
      expect(await store.validate(partOf(`${prefix}1`, 'limit=1'))).toBeNull();
      expect(await store.fill(`${prefix}loading`, loading, fillWith('old'))).toMatchObject({ stored: false });
      expect(await Promise.all(neighbours.map((each) => store.validate(each)))).not.toContain(null);
      await store.releaseAll(prefix);
    });

    test('a release of all opens no fence', async () => {
      await store.fence([key], 'writer', fenceMs);
      await store.releaseAll(key);
      expect(await store.acquire(key, leaseMs)).toEqual({ kind: 'bypass' });
    });

    describeFrontier(() => tested);

    test('a part has a value, a version and a lease of its own', async () => {
      const [one, two] = [partOf(key, 'limit=1'), partOf(key, 'limit=2')];
      await put(key, 'whole');
      await put(one, 'one', { meta: 'm' });
      const token = await takeLease(two);
      expect(textOf(await store.read(key))).toBe('whole');
      expect(await store.read(one)).toMatchObject({ meta: 'm' });
      expect(await store.read(two)).toBeNull();
      expect((await store.acquire(two, leaseMs)).kind).toBe('wait');
      expect(await store.fill(two, token, fillWith('two'))).toEqual({ stored: true });
      expect(new Set(await Promise.all([key, one, two].map((each) => store.validate(each)))).size).toBe(3);
    });

    test('a fence on a name takes all its parts, filled or being loaded', async () => {
      const [filled, loading] = [partOf(key, 'a'), partOf(key, 'b')];
      await put(filled, 'old');
      const token = await takeLease(loading);
      await store.fence([key], 'writer', fenceMs);
      expect(await store.read(filled)).toBeNull();
      expect(await store.validate(filled)).toBeNull();
      expect(await store.acquire(filled, leaseMs)).toEqual({ kind: 'bypass' });
      await store.release([key], 'writer');
      expect(await store.fill(loading, token, fillWith('old'))).toEqual({ stored: false, reason: 'lease-lost' });
      expect((await store.acquire(filled, leaseMs)).kind).toBe('lease');
    });

    test('no version is ever given out twice', async () => {
      const versions = new Set<string>();
      for (let round = 0; round < 20; round += 1) {
        versions.add(await put(key, 'same'));
        await store.release([key], store.unique());
      }
      expect(versions.size).toBe(20);
    });

    test('a value can be loaded anew under the lease while it stays readable, and then has a new version', async () => {
      const version = await put(key, 'first');
      const renewal = await store.acquire(key, leaseMs, { renew: true });
      if (renewal.kind !== 'lease') throw new Error(`expected the lease, got ${renewal.kind}`);
      expect(await store.acquire(key, leaseMs, { renew: true })).toMatchObject({ kind: 'wait' });
      expect(await store.acquire(key, leaseMs)).toMatchObject({ kind: 'hit', entry: { version, loadMs: 3 } });
      expect(await store.validate(key)).toBe(version);
      expect(await store.fill(key, renewal.token, fillWith('second'))).toEqual({ stored: true });
      expect(await store.validate(key)).toBe(renewal.token);
      expect(textOf(await store.read(key))).toBe('second');
    });

    test('a renewal that is given up leaves the value as it was; one that is overtaken by a fence cannot fill', async () => {
      await put(key, 'first');
      const first = await store.acquire(key, leaseMs, { renew: true });
      await store.surrender(key, first.kind === 'lease' ? first.token : '');
      expect(textOf(await store.read(key))).toBe('first');
      const second = await store.acquire(key, leaseMs, { renew: true });
      await store.fence([key], 'writer', fenceMs);
      expect(await store.acquire(key, leaseMs, { renew: true })).toEqual({ kind: 'bypass' });
      await store.release([key], 'writer');
      const token = second.kind === 'lease' ? second.token : '';
      expect(await store.fill(key, token, fillWith('old'))).toEqual({ stored: false, reason: 'lease-lost' });
    });

    test('a version can be filled without bytes: it is current, and nobody reads a value', async () => {
      await put(key, 'before');
      const renewal = await store.acquire(key, leaseMs, { renew: true });
      const token = renewal.kind === 'lease' ? renewal.token : '';
      expect(await store.fill(key, token, fillWith('', { value: null, meta: 'm' }))).toEqual({ stored: true });
      expect(await store.validate(key)).toBe(token);
      expect(await store.read(key)).toBeNull();
      const acquired = await store.acquire(key, leaseMs, { composes: true });
      expect(acquired).toMatchObject({ kind: 'version', entry: { version: token, meta: 'm', loadMs: 3 } });
      if (acquired.kind === 'version') expect(acquired.entry.ttlMs).toBeGreaterThan(50_000);
      // Who cannot put it together loads it.
      const next = await takeLease(key);
      expect(await store.fill(key, next, fillWith('whole'))).toEqual({ stored: true });
      expect(await store.acquire(key, leaseMs, { composes: true })).toMatchObject({ kind: 'hit' });
    });

    test('bytes of several megabytes in many pieces are stored later', async () => {
      const chunks = Array.from({ length: 50 }, (_, index) => Buffer.alloc(100_000, String(index % 10)));
      const token = await takeLease(key);
      await store.fill(key, token, fillWith('', { value: null }));
      expect(await store.attach(key, token, new Rope(chunks, []))).toBe(true);
      expect((await store.read(key))?.value.equals(Buffer.concat(chunks))).toBe(true);
      // Who can put it together is told to.
      expect(await store.acquire(key, leaseMs, { composes: true })).toMatchObject({ kind: 'version' });
      expect(await store.acquire(key, leaseMs)).toMatchObject({ kind: 'hit' });
    });

    test('the bytes of a version are stored later, and live as long as it', async () => {
      const token = await takeLease(key);
      await store.fill(key, token, fillWith('', { value: null, meta: 'm', ttlMs: 40_000 }));
      expect(await store.attach(key, 'another', Buffer.from('other'))).toBe(false);
      expect(await store.attach(key, token, Buffer.from('bytes'))).toBe(true);
      const entry = await store.read(key);
      expect(textOf(entry)).toBe('bytes');
      expect(entry).toMatchObject({ version: token, meta: 'm' });
      expect(entry?.ttlMs).toBeLessThanOrEqual(40_000);
    });

    test('a version without bytes ends with its time, and with a fence; then nothing can be attached to it', async () => {
      const short = await takeLease(key);
      await store.fill(key, short, fillWith('', { value: null, ttlMs: 30 }));
      await tested.elapse(31);
      expect(await store.attach(key, short, Buffer.from('late'))).toBe(false);
      expect((await store.acquire(key, leaseMs, { composes: true })).kind).toBe('lease');
      await store.release([key], store.unique());
      const fenced = await takeLease(key);
      await store.fill(key, fenced, fillWith('', { value: null }));
      await store.fence([key], 'writer', fenceMs);
      expect(await store.attach(key, fenced, Buffer.from('late'))).toBe(false);
      expect(await store.acquire(key, leaseMs, { composes: true })).toEqual({ kind: 'bypass' });
      await store.release([key], 'writer');
      expect(await store.read(key)).toBeNull();
    });

    test('it answers a ping', async () => {
      await expect(store.ping()).resolves.toBeUndefined();
    });
  });
}
