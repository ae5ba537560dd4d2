import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/cache/store.ts';
import type { Position } from '../../src/realtime/event-log.ts';
import { MemoryEventLog } from '../../src/realtime/memory-event-log.ts';
import { EventTail } from '../../src/realtime/tail.ts';
import { event } from '../contracts/event-log.ts';
import { ManualClock, settle } from '../harness/manual-clock.ts';

describe('following the event log', () => {
  const clock = new ManualClock();
  let log: MemoryEventLog;
  let told: (string | Position)[];
  let tail: EventTail;

  beforeEach(() => {
    let count = 0;
    const unique = (): string => {
      count += 1;
      return `epoch-${count}`;
    };
    log = new MemoryEventLog({ mostEntries: 3_000, mostBytes: 1e8, longestMs: 1e9, now: clock.now, unique });
    told = [];
    tail = new EventTail(log, clock, {
      deliver: (events) => void told.push(...events.map(({ data }) => data)),
      lost: (position) => void told.push(position),
    });
  });

  const append = (...all: unknown[]): Promise<void> => log.append(all.map((each) => event(each)));
  const numbers = (from: number, to: number): number[] =>
    Array.from({ length: to - from + 1 }, (_, index) => from + index);

  test('delivers what comes after the start, in order, and says how far it is', async () => {
    await append('before');
    expect(tail.position).toBeUndefined();
    tail.start();
    await tail.begun();
    await append(1, 2);
    await append(3);
    await tail.looked();
    expect(told).toEqual(['1', '2', '3']);
    expect(tail.position).toEqual(await log.tail());
    tail.stop();
    await append(4);
    await settle();
    expect(told).toHaveLength(3);
  });

  test('reads the log once for a notice, and on only while there is more', async () => {
    tail.start();
    await tail.begun();
    let reads = 0;
    const readAfter = log.readAfter.bind(log);
    log.readAfter = (...args) => {
      reads += 1;
      return readAfter(...args);
    };
    await append(1, 2);
    await settle();
    expect([told.length, reads]).toEqual([2, 1]);
    await append(...numbers(3, 412));
    await tail.looked();
    expect(told).toHaveLength(412);
    // Three for the 410, and one because somebody asked for a look.
    expect(reads).toBeLessThanOrEqual(5);
    tail.stop();
  });

  test('remembers what was delivered, for those who come back', async () => {
    tail.start();
    await tail.begun();
    const start = await log.tail();
    await append(...numbers(1, 5));
    await tail.looked();
    const dataSince = (position: Position): string[] | undefined => tail.since(position)?.map(({ data }) => data);
    expect(dataSince(start)).toEqual(['1', '2', '3', '4', '5']);
    expect(dataSince({ ...start, offset: 3 })).toEqual(['4', '5']);
    expect(dataSince({ ...start, offset: 5 })).toEqual([]);
    expect(dataSince({ ...start, offset: 6 })).toBeUndefined();
    expect(dataSince({ epoch: 'another', offset: 3 })).toBeUndefined();
  });

  test('remembers a thousand, and no more than four megabytes', async () => {
    tail.start();
    await tail.begun();
    const start = await log.tail();
    await append(...numbers(1, 1_500));
    await tail.looked();
    expect(told).toHaveLength(1_500);
    expect(tail.since(start)).toBeUndefined();
    expect(tail.since({ ...start, offset: 500 })).toHaveLength(1_000);
    await append(...numbers(1, 5).map(() => 'x'.repeat(1_000_000)));
    await tail.looked();
    expect(tail.since({ ...start, offset: 1_501 })).toHaveLength(4);
    expect(tail.since({ ...start, offset: 1_500 })).toBeUndefined();
  });

  test('another epoch is told of, and delivered from its beginning', async () => {
    tail.start();
    await tail.begun();
    await append(1);
    await tail.looked();
    await log.renew();
    await append(2);
    await tail.looked();
    const { epoch } = await log.tail();
    expect(told).toEqual(['1', { epoch, offset: 0 }, '2']);
    expect(tail.since({ epoch, offset: 0 })).toHaveLength(1);
  });

  test('what the log has forgotten before it was delivered is told of, and it goes on behind it', async () => {
    tail.start();
    await tail.begun();
    tail.stop();
    await append(...numbers(1, 3_500));
    await tail.looked();
    expect(told).toEqual([await log.tail()]);
    await append('next');
    await tail.looked();
    expect(told.slice(1)).toEqual(['"next"']);
  });

  test('an epoch whose beginning is forgotten goes on at its end', async () => {
    tail.start();
    await tail.begun();
    tail.stop();
    await log.renew();
    await append(...numbers(1, 3_500));
    await tail.looked();
    expect(told).toEqual([await log.tail()]);
  });

  test('a log that cannot be reached is looked at again', async () => {
    const readAfter = log.readAfter.bind(log);
    tail.start();
    await tail.begun();
    log.readAfter = () => Promise.reject(new StoreUnavailable('away'));
    await append(1);
    await tail.looked();
    expect(told).toEqual([]);
    log.readAfter = readAfter;
    await tail.looked();
    expect(told).toEqual(['1']);
  });

  test('who came before the log could be reached is told, once it can be, that something may have been missed', async () => {
    const readTail = log.tail.bind(log);
    log.tail = () => Promise.reject(new StoreUnavailable('away'));
    tail.start();
    await tail.begun();
    expect(tail.position).toBeUndefined();
    log.tail = readTail;
    await append('missed');
    await tail.looked();
    expect(told).toEqual([await log.tail()]);
    await append('heard');
    await tail.looked();
    expect(told.slice(1)).toEqual(['"heard"']);
  });
});
