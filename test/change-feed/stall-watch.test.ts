import { expect, test } from '@jest/globals';
import type { ChangeStream, Position } from '../../src/change-feed/change-source.ts';
import { feedChannel } from '../../src/change-feed/channels.ts';
import { StallWatch } from '../../src/change-feed/stall-watch.ts';
import { ManualClock } from '../harness/manual-clock.ts';

const at = (offset: number): Position => ({ log: 'server', file: 'binlog.000001', offset });

function watch() {
  const clock = new ManualClock();
  let reached = at(100);
  let end: () => Promise<Position> = async () => at(100);
  const stalls: string[] = [];
  const stream: ChangeStream = {
    get reached() {
      return reached;
    },
    next: () => new Promise(() => undefined),
    done: async () => undefined,
    close: async () => undefined,
  };
  const watching = new StallWatch({
    stream,
    source: { end: () => end() },
    clock,
    heartbeatMs: 1_000,
    stallMs: 3_000,
    stalled: (reason) => stalls.push(reason),
  });
  watching.waits(true);
  return {
    watching,
    clock,
    stalls,
    reach: (offset: number) => {
      reached = at(offset);
    },
    server: (answer: () => Promise<Position>) => {
      end = answer;
    },
  };
}

/** Second by second, so that each question is answered before the next. */
async function pass(clock: ManualClock, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) await clock.advance(1_000);
}

test('a reader that is where the server is may be silent for ever', async () => {
  const { clock, stalls } = watch();
  await pass(clock, 60);
  expect(stalls).toEqual([]);
});

test('a reader that is behind and hears nothing is given up, once, within five seconds', async () => {
  const { clock, stalls, server, watching } = watch();
  server(async () => at(200));
  await pass(clock, 5);
  expect(stalls).toEqual(['the server is further on, and the reader hears nothing of it']);
  expect(watching.reason).toBe(stalls[0]);
  await pass(clock, 10);
  expect(stalls).toHaveLength(1);
  watching.stop();
});

test('one that moves, however slowly, or whose changes take effect for long, is not', async () => {
  const { clock, stalls, server, reach, watching } = watch();
  server(async () => at(1_000));
  for (let offset = 101; offset < 110; offset += 1) {
    reach(offset);
    await pass(clock, 2);
  }
  watching.waits(false);
  await pass(clock, 30);
  expect(stalls).toEqual([]);
  watching.waits(true);
  await pass(clock, 5);
  expect(stalls).toHaveLength(1);
});

test('a server that does not answer is given up, whether it says no or nothing', async () => {
  for (const silence of [() => Promise.reject(new Error('gone')), () => new Promise<Position>(() => undefined)]) {
    const { clock, stalls, server } = watch();
    server(silence);
    await pass(clock, 6);
    expect(stalls).toEqual(['the server does not answer']);
  }
});

test('the lag is how long ago the log ended where the reader is', async () => {
  const { clock, server, reach } = watch();
  const lags: number[] = [];
  const note = (message: unknown): void => void lags.push(Object(message).ms);
  feedChannel.subscribe(note);
  try {
    await pass(clock, 2);
    // From now on the log grows by 100 a second, and the reader is three seconds behind.
    for (let second = 1; second <= 10; second += 1) {
      server(async () => at(100 + second * 100));
      reach(100 + Math.max(0, second - 4) * 100);
      await pass(clock, 1);
    }
    reach(2_000);
    await pass(clock, 1);
  } finally {
    feedChannel.unsubscribe(note);
  }
  expect(lags.slice(0, 5)).toEqual([0, 0, 0, 1_000, 2_000]);
  // It does not grow while the reader is as far behind as before.
  expect(Math.max(...lags)).toBe(3_000);
  expect(lags.at(-1)).toBe(0);
});
