import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { StoreUnavailable } from '../../src/cache/store.ts';
import {
  type Change,
  type ChangeSource,
  type ChangeStream,
  type Position,
  PositionLost,
} from '../../src/change-feed/change-source.ts';
import { feedChannel } from '../../src/change-feed/channels.ts';
import { MemoryCheckpoint } from '../../src/change-feed/checkpoint.ts';
import { Follower } from '../../src/change-feed/follower.ts';
import type { Problem } from '../../src/change-feed/server-checks.ts';
import { ManualClock, settle } from '../harness/manual-clock.ts';

const at = (offset: number): Position => ({ log: 'server', file: 'binlog.000001', offset });
const wrong: Problem = { code: 'log_bin', problem: 'no log', remedy: 'mend it', isAdvice: false };

/** A log in memory: each entry is one change at one offset. */
class MemorySource implements ChangeSource {
  log: Change[] = [];
  openings: number[] = [];
  lost: string | undefined;
  #wake: () => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;

  write(): void {
    this.log.push({ type: 'boundary', position: at(this.log.length + 1) });
    this.#wake();
  }

  breakOff(error: Error): void {
    this.#fail(error);
  }

  async end(): Promise<Position> {
    return at(this.log.length);
  }

  async open(from: Position): Promise<ChangeStream> {
    this.openings.push(from.offset);
    if (this.lost !== undefined) throw new PositionLost(this.lost);
    let read = from.offset;
    let failure: Error | undefined;
    this.#fail = (error) => {
      failure ??= error;
      this.#wake();
    };
    const fail = this.#fail;
    return {
      get reached() {
        return at(read);
      },
      next: async () => {
        for (;;) {
          if (failure !== undefined) throw failure;
          const change = this.log[read];
          if (change !== undefined) {
            read += 1;
            return [change];
          }
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      },
      done: async () => undefined,
      close: async () => fail(new Error('closed')),
    };
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

function build() {
  const clock = new ManualClock();
  const source = new MemorySource();
  const checkpoint = new MemoryCheckpoint();
  const applied: number[] = [];
  const cleared: string[] = [];
  const world = {
    problems: new Array<Problem>(),
    tables: ['posts'],
    failure: undefined as Error | undefined,
    depose: (_reason: string): void => undefined,
    acquired: 0,
    othersLead: false,
  };
  const follower = new Follower({
    source,
    checkpoint,
    clock,
    lock: {
      acquire: async () => {
        await clock.sleep(1);
        if (world.othersLead) return null;
        world.acquired += 1;
        const { promise: lost, resolve } = Promise.withResolvers<string>();
        world.depose = resolve;
        return { lost, release: async () => resolve('released') };
      },
    },
    effects: {
      apply: async (changes) => {
        if (world.failure !== undefined) throw world.failure;
        for (const change of changes) if (change.type === 'boundary') applied.push(change.position.offset);
      },
      clearAll: async (reason) => {
        if (world.failure !== undefined) throw world.failure;
        cleared.push(reason);
      },
    },
    check: async () => world.problems,
    readCascades: async () => ({ childrenOf: () => new Set(), parentsOf: () => [] }),
    tablesWith: () => world.tables,
    fenceMs: 100,
    checkpointMs: 100,
    heartbeatMs: 1_000,
    stallMs: 3_000,
    recheckMs: 30_000,
    resignMs: 10_000,
  });
  return { clock, source, checkpoint, applied, cleared, world, follower };
}

let built: ReturnType<typeof build>;
beforeEach(() => {
  built = build();
});
afterEach(async () => {
  const stopping = built.follower.stop();
  await built.clock.advance(10_000);
  await stopping;
  expect(built.follower.state).toEqual({ name: 'off' });
});

test('without a checkpoint everything is invalidated before anything is followed; with one, nothing is', async () => {
  const { clock, source, cleared, applied, follower, checkpoint } = built;
  source.write();
  follower.start();
  await clock.advance(50);
  expect([follower.state.name, cleared]).toEqual(['starting', []]);
  await clock.advance(100);
  expect([follower.state.name, cleared]).toEqual(['following', ['there is no checkpoint that can be trusted']]);
  expect((await checkpoint.load())?.position).toEqual(at(1));
  source.write();
  await clock.advance(200);
  expect([applied, follower.position]).toEqual([[2], at(2)]);
  source.write();
  await clock.advance(1_000);
  expect((await checkpoint.load())?.position).toEqual(at(3));
  source.breakOff(new Error('reset'));
  await clock.advance(1_000);
  expect([follower.state.name, source.openings, cleared.length]).toEqual(['following', [1, 3], 1]);
});

test('a position that is lost, and other tables than before, start over; what fails then is tried again', async () => {
  const { clock, source, cleared, checkpoint, world, follower } = built;
  await checkpoint.save({ position: at(0), tables: ['others'], run: 'r' });
  world.failure = new StoreUnavailable('away');
  follower.start();
  await clock.advance(1_000);
  expect([follower.state.name, cleared]).toEqual(['reconnecting', []]);
  world.failure = undefined;
  await clock.advance(6_000);
  expect([follower.state.name, cleared]).toEqual(['following', ['other tables are followed than before']]);
  source.breakOff(new PositionLost('purged'));
  await clock.advance(1_000);
  expect(cleared.slice(1)).toEqual(['purged']);
  expect(follower.state.name).toBe('following');
});

test('a change that did not take effect is told of again, and nothing is skipped', async () => {
  const { clock, source, applied, world, follower } = built;
  follower.start();
  await clock.advance(200);
  world.failure = new Error('the database is away');
  for (let count = 0; count < 3; count += 1) source.write();
  await clock.advance(2_000);
  expect([applied, follower.state.name]).toEqual([[], 'reconnecting']);
  world.failure = undefined;
  await clock.advance(6_000);
  expect(applied).toEqual([1, 2, 3]);
});

test('who cannot reach the store for long lets another try', async () => {
  const { clock, source, world, follower } = built;
  follower.start();
  await clock.advance(200);
  world.failure = new StoreUnavailable('away');
  source.write();
  await clock.advance(9_000);
  expect(world.acquired).toBe(1);
  world.othersLead = true;
  await clock.advance(20_000);
  expect(follower.state.name).toBe('electing');
  expect(follower.position).toBeUndefined();
});

test('who does not lead any more stops at once, and is elected again', async () => {
  const { clock, source, applied, world, follower } = built;
  follower.start();
  await clock.advance(200);
  world.othersLead = true;
  world.depose('cut off');
  await settle();
  expect(follower.state).toMatchObject({ name: 'reconnecting', reason: expect.stringContaining('cut off') });
  source.write();
  await clock.advance(5_000);
  expect([applied, follower.state.name]).toEqual([[], 'electing']);
  world.othersLead = false;
  await clock.advance(1_000);
  expect([applied, follower.state.name]).toEqual([[1], 'following']);
});

test('wrong settings are refused, looked at again, and noticed when the feed breaks off', async () => {
  const { clock, source, world, follower } = built;
  world.problems = [wrong];
  follower.start();
  await clock.advance(20_000);
  expect([follower.state, world.acquired]).toEqual([{ name: 'refused', problems: [wrong] }, 0]);
  world.problems = [{ ...wrong, isAdvice: true }];
  await clock.advance(11_000);
  expect(follower.state.name).toBe('following');
  world.problems = [wrong];
  source.breakOff(new PositionLost('unreadable'));
  await clock.advance(500);
  expect(follower.state.name).toBe('refused');
});

test('a silent stream is given up', async () => {
  const { clock, source, follower, applied } = built;
  follower.start();
  await clock.advance(200);
  source.log.push({ type: 'boundary', position: at(1) });
  const states: unknown[] = [];
  const note = (message: unknown): void => {
    if (Object(message).type === 'state') states.push(Object(message).state.name);
  };
  feedChannel.subscribe(note);
  await clock.advance(6_000);
  feedChannel.unsubscribe(note);
  expect(states).toEqual(['stalled', 'reconnecting', 'starting', 'following']);
  expect([applied, follower.state.name]).toEqual([[1], 'following']);
});
