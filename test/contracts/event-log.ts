import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { EventLog, LiveEvent, LoggedEvent, Position } from '../../src/realtime/event-log.ts';
import { eventually } from '../harness/eventually.ts';

/** One implementation of the port: at most 10 entries, 20,000 bytes, a minute. */
export interface EventLogUnderTest {
  readonly log: EventLog;
  /** Makes entries of now older than a minute. */
  age(): Promise<void>;
  close(): Promise<void>;
}

export const boundsUnderTest = { mostEntries: 10, mostBytes: 20_000, longestMs: 60_000 };

export const event = (data: unknown, more: Partial<LiveEvent> = {}): LiveEvent => ({
  event: 'told',
  data: JSON.stringify(data),
  rooms: [],
  ...more,
});

/** What every `EventLog` must hold: run against each implementation. */
export function describeEventLog(name: string, open: () => Promise<EventLogUnderTest>): void {
  describe(`the port EventLog, held by ${name}`, () => {
    let tested: EventLogUnderTest;
    let log: EventLog;

    beforeAll(async () => {
      tested = await open();
      ({ log } = tested);
    });
    beforeEach(() => log.renew());
    afterAll(() => tested.close());

    const dataOf = (events: readonly LoggedEvent[] | null): unknown[] | null =>
      events === null ? null : events.map(({ data }) => JSON.parse(data));
    const append = (...all: unknown[]): Promise<void> => log.append(all.map((each) => event(each)));

    test('a new epoch ends where it begins', async () => {
      const tail = await log.tail();
      expect(tail).toEqual({ epoch: expect.any(String), offset: 0 });
      expect(await log.readAfter(tail, 10)).toEqual([]);
    });

    test('what was appended is read in that order, byte for byte, with growing offsets', async () => {
      const start = await log.tail();
      await append('a', 'b');
      await log.append([event({ text: 'ÿ "\u2028 😀' }, { event: 'post_updated', rooms: ['posts', 'post:1'] })]);
      await log.append([]);
      const events = (await log.readAfter(start, 10)) ?? [];
      expect(dataOf(events)).toEqual(['a', 'b', { text: 'ÿ "\u2028 😀' }]);
      expect(events.map(({ rooms }) => rooms)).toEqual([[], [], ['posts', 'post:1']]);
      expect(events.at(-1)?.event).toBe('post_updated');
      const offsets = events.map(({ offset }) => offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
      expect(new Set(offsets).size).toBe(3);
      expect(await log.tail()).toEqual({ epoch: start.epoch, offset: offsets.at(-1) });
    });

    test('is read on from any position, some at a time', async () => {
      const start = await log.tail();
      await append(1, 2, 3, 4, 5);
      const first = (await log.readAfter(start, 2)) ?? [];
      expect(dataOf(first)).toEqual([1, 2]);
      expect(dataOf(await log.readAfter(first[1] as Position, 2))).toEqual([3, 4]);
      expect(dataOf(await log.readAfter(first[0] as Position, 100))).toEqual([2, 3, 4, 5]);
      expect(await log.readAfter(await log.tail(), 100)).toEqual([]);
    });

    test('a position of another epoch, or of the future, is none', async () => {
      await append(1);
      const { epoch, offset } = await log.tail();
      expect(await log.readAfter({ epoch: `${epoch}x`, offset: 0 }, 10)).toBeNull();
      expect(await log.readAfter({ epoch, offset: offset + 1 }, 10)).toBeNull();
    });

    test('renewing ends the epoch, with all that was in it', async () => {
      await append(1);
      const before = await log.tail();
      await log.renew();
      const after = await log.tail();
      expect(after.epoch).not.toBe(before.epoch);
      expect(after.offset).toBe(0);
      expect(await log.readAfter(before, 10)).toBeNull();
      await append(2);
      expect(dataOf(await log.readAfter(after, 10))).toEqual([2]);
    });

    test('keeps the newest entries alone: who is behind them is told so, never given a part', async () => {
      const start = await log.tail();
      await append(...Array.from({ length: 10 }, (_, index) => index));
      const [oldest] = (await log.readAfter(start, 1)) ?? [];
      await append(10);
      expect(await log.readAfter(start, 100)).toBeNull();
      expect(dataOf(await log.readAfter(oldest as Position, 100))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      await append(...Array.from({ length: 30 }, (_, index) => 11 + index));
      expect(await log.readAfter(oldest as Position, 100)).toBeNull();
    });

    test('keeps within its bound of bytes', async () => {
      const start = await log.tail();
      await append('x'.repeat(9_000));
      const one = await log.tail();
      await append('y'.repeat(9_000));
      expect(await log.readAfter(start, 10)).toHaveLength(2);
      await append('z'.repeat(9_000));
      expect(await log.readAfter(start, 10)).toBeNull();
      expect(dataOf(await log.readAfter(one, 10))).toEqual(['y'.repeat(9_000), 'z'.repeat(9_000)]);
      // One that is larger than the bound alone leaves nothing.
      await append('w'.repeat(30_000));
      expect(await log.readAfter(one, 10)).toBeNull();
      expect(await log.readAfter(await log.tail(), 10)).toEqual([]);
      await append('v');
      expect(await log.readAfter(one, 10)).toBeNull();
    });

    test('forgets what is too old when something new comes', async () => {
      const start = await log.tail();
      await append('old');
      const old = await log.tail();
      await tested.age();
      await append('new');
      expect(await log.readAfter(start, 10)).toBeNull();
      expect(dataOf(await log.readAfter(old, 10))).toEqual(['new']);
    });

    test('a version that was reserved earlier is smaller, whichever event is appended first', async () => {
      const start = await log.tail();
      const first = await log.reserve();
      const second = await log.reserve();
      await log.append([event('second', { version: second })]);
      await log.append([event('first', { version: first })]);
      await append('of its own');
      const events = (await log.readAfter(start, 10)) ?? [];
      const [two, one, own] = events.map(({ version }) => version);
      expect(two).toBe(second.version);
      expect(one).toBe(first.version);
      expect(two).toBeGreaterThan(one ?? 0);
      expect(own).toBe(events[2]?.offset);
      expect(own).toBeGreaterThan(two ?? 0);
    });

    test('a version of another epoch counts as none', async () => {
      await append(1, 2, 3);
      const version = await log.reserve();
      await log.renew();
      const start = await log.tail();
      await log.append([event('late', { version })]);
      const [late] = (await log.readAfter(start, 10)) ?? [];
      expect(late?.version).toBe(late?.offset);
    });

    test('leaves out what a feed repeats, and takes all of another one', async () => {
      const start = await log.tail();
      const fed = (mark: string): LiveEvent => event(mark, { mark });
      await log.append([fed('1:001'), fed('1:002')], { source: 'one' });
      await append('from elsewhere');
      await log.append([fed('1:001'), fed('1:002'), fed('1:003')], { source: 'one' });
      await log.append([fed('1:003')], { source: 'one' });
      await log.append([fed('1:002')], { source: 'another' });
      expect(dataOf(await log.readAfter(start, 10))).toEqual(['1:001', '1:002', 'from elsewhere', '1:003', '1:002']);
    });

    test('tells its followers that it has grown, or that its epoch is over', async () => {
      let told = 0;
      const stop = log.follow(() => {
        told += 1;
      });
      await append(1);
      await eventually(async () => told > 0);
      const before = told;
      await log.renew();
      await eventually(async () => told > before);
      stop();
    });
  });
}
