import { beforeEach, describe, expect, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/cache/store.ts';
import type { EventLog, LiveEvent, Position } from '../../src/realtime/event-log.ts';
import { MemoryEventLog } from '../../src/realtime/memory-event-log.ts';
import { EventPublisher } from '../../src/realtime/publisher.ts';
import { event } from '../contracts/event-log.ts';
import { ManualClock, settle } from '../harness/manual-clock.ts';

describe('events on their way to the log', () => {
  let clock: ManualClock;
  let log: MemoryEventLog;
  let isAway: boolean;
  let bug: Error | undefined;
  let emitted: string[];
  let followed: number;
  let start: Position;
  let publisher: EventPublisher;

  beforeEach(async () => {
    clock = new ManualClock();
    let count = 0;
    const unique = (): string => {
      count += 1;
      return `epoch-${count}`;
    };
    log = new MemoryEventLog({ mostEntries: 10_000, mostBytes: 1e9, longestMs: 1e9, now: clock.now, unique });
    isAway = false;
    bug = undefined;
    emitted = [];
    followed = 0;
    start = await log.tail();
    const reach = async <T>(step: () => Promise<T>): Promise<T> => {
      if (bug !== undefined) throw bug;
      if (isAway) throw new StoreUnavailable('away');
      return await step();
    };
    const cuttable: EventLog = {
      reserve: () => reach(() => log.reserve()),
      append: (events) => reach(() => log.append(events)),
      tail: () => reach(() => log.tail()),
      readAfter: (position, limit) => reach(() => log.readAfter(position, limit)),
      renew: () => reach(() => log.renew()),
      follow: (grown) => log.follow(grown),
    };
    publisher = new EventPublisher(cuttable, clock, {
      follow: async () => {
        followed += 1;
      },
      emitHere: ({ data }) => void emitted.push(data),
    });
  });

  const publish = async (...all: unknown[]): Promise<void> => {
    await Promise.all(all.map((each) => publisher.publish(event(each))));
  };
  const logged = async (from: Position): Promise<string[] | undefined> =>
    (await log.readAfter(from, 10_000))?.map(({ data }) => data);

  test('they are logged in the order in which they came, after this instance has begun to follow', async () => {
    await publish(1, 2, 3);
    expect(await logged(start)).toEqual(['1', '2', '3']);
    expect(followed).toBeGreaterThan(0);
    expect(emitted).toEqual([]);
  });

  test('many at a time go in one step each hundred', async () => {
    await publish(...Array.from({ length: 250 }, (_, index) => index));
    expect(await logged(start)).toEqual(Array.from({ length: 250 }, (_, index) => String(index)));
    expect(followed).toBe(3);
  });

  test('a version is reserved where the log can be reached', async () => {
    expect(await publisher.reserve()).toEqual({ epoch: start.epoch, version: 1 });
    isAway = true;
    expect(await publisher.reserve()).toBeUndefined();
    bug = new TypeError('bug');
    await expect(publisher.reserve()).rejects.toThrow('bug');
  });

  test('a short outage: nobody waits for its end, and all are logged in order', async () => {
    isAway = true;
    await publish(1, 2);
    await clock.advance(500);
    isAway = false;
    const third = publish(3);
    await clock.advance(100);
    await third;
    expect(await logged(start)).toEqual(['1', '2', '3']);
    expect(emitted).toEqual([]);
  });

  test('a long outage: they go to the own clients, and then another epoch begins, without any event', async () => {
    await publish(0);
    isAway = true;
    void publish(1, 2);
    await clock.advance(1_900);
    expect(emitted).toEqual([]);
    await clock.advance(200);
    expect(emitted).toEqual(['1', '2']);
    void publish(3);
    await clock.advance(100);
    expect(emitted).toEqual(['1', '2', '3']);
    isAway = false;
    await clock.advance(100);
    expect(await logged(start)).toBeUndefined();
    const anew = await log.tail();
    expect(anew.offset).toBe(0);
    await publish(4);
    expect(await logged(anew)).toEqual(['4']);
    expect(emitted).toEqual(['1', '2', '3']);
    expect(clock.waiting).toBe(0);
  });

  test('in an outage no more than a thousand wait', async () => {
    isAway = true;
    void publish(...Array.from({ length: 1_001 }, (_, index) => index));
    await clock.advance(0);
    expect(emitted).toHaveLength(1_001);
  });

  test('closing logs what waits, and in an outage gives it to the own clients', async () => {
    void publish(1);
    await publisher.close();
    expect(await logged(start)).toEqual(['1']);
    isAway = true;
    const second = publish(2);
    await publisher.close();
    await second;
    expect(emitted).toEqual(['2']);
  });

  test('closing in a long outage does not wait for its end', async () => {
    isAway = true;
    void publish(1);
    await clock.advance(3_000);
    const closing = publisher.close();
    await clock.advance(100);
    await closing;
    await settle();
    expect(clock.waiting).toBe(0);
    const late: LiveEvent = event('late');
    await publisher.publish(late);
    expect(emitted).toEqual(['1', '"late"']);
  });
});
