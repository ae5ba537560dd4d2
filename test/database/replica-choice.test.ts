import { expect, test } from '@jest/globals';
import type { Row, SqlValue } from '../../src/database/database.ts';
import { type OpenReplica, Replicas } from '../../src/database/replicas.ts';

/** Which replica is asked, and when none is: with replicas in memory, of which the test says how far they have come. */
class Follower {
  /** The number up to which it shows the stream. */
  shown = 0;
  readonly asked: string[] = [];
  waits = 0;
  fails = false;
  order: readonly Row[] = [];
  /** What its rows wait for. */
  held: Promise<void> = Promise.resolve();
  connect: () => void = () => undefined;

  readonly open: OpenReplica = (onConnect) => {
    this.connect = onConnect;
    return { query: (sql, params) => this.#query(sql, params), close: async () => undefined };
  };

  async #query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    if (this.fails) throw new Error('away');
    if (sql.startsWith('SHOW')) return [...this.order];
    if (!sql.includes('WAIT')) {
      this.asked.push(sql);
      await this.held;
      return [[this.shown]];
    }
    this.waits += 1;
    const number = Number(/(\d+)$/.exec(String(params[0]))?.[1]);
    return [[number <= this.shown ? 0 : 1]];
  }
}

function open(count: number) {
  const followers = Array.from({ length: count }, () => new Follower());
  let now = 10_000;
  const replicas = new Replicas(
    followers.map((follower) => follower.open),
    { now: () => now },
    50,
  );
  const [one = new Follower(), other = new Follower()] = followers;
  const load = (position: string): Promise<Row[] | undefined> => replicas.load('rows', [], position);
  const pass = (ms: number): void => {
    now += ms;
  };
  return { one, other, replicas, load, pass };
}

test('those that show a position are asked in turn', async () => {
  const { one, other, load, replicas } = open(2);
  [one.shown, other.shown] = [5, 5];
  for (let time = 0; time < 4; time += 1) expect(await load('domain-0 5')).toEqual([[5]]);
  expect([one.asked.length, other.asked.length]).toEqual([2, 2]);
  await replicas.close();
});

test('one that is behind rests for a second, but for what it has shown', async () => {
  const { one, load, pass } = open(1);
  one.shown = 5;
  expect(await load('domain-0 5')).toEqual([[5]]);
  expect(await load('domain-0 6')).toBeUndefined();
  one.shown = 6;
  expect(await load('domain-0 6')).toBeUndefined();
  expect(await load('domain-0 4')).toEqual([[6]]);
  pass(1_000);
  expect(await load('domain-0 6')).toEqual([[6]]);
  // Of another stream nothing is known yet.
  one.shown = 2;
  expect(await load('domain-1 3')).toBeUndefined();
});

test('one that cannot be asked rests too, and so does one that fails behind its wait', async () => {
  const { one, load, pass } = open(1);
  [one.shown, one.fails] = [5, true];
  expect(await load('domain-0 5')).toBeUndefined();
  one.fails = false;
  pass(1_000);
  expect(await load('domain-0 5')).toEqual([[5]]);
  one.held = Promise.reject(new Error('gone'));
  one.held.catch(() => undefined);
  expect(await load('domain-0 5')).toBeUndefined();
});

test('what was read over a connection that is new meanwhile does not count: it may be to an older copy', async () => {
  const { one, load } = open(1);
  one.shown = 5;
  expect(await load('domain-0 5')).toEqual([[5]]);
  const { promise, resolve } = Promise.withResolvers<void>();
  one.held = promise;
  const pending = load('domain-0 5');
  // By then it has passed the wait.
  await new Promise((done) => setImmediate(done));
  one.connect();
  one.shown = 3;
  resolve();
  expect(await pending).toBeUndefined();
  one.held = Promise.resolve();
  expect(await load('domain-0 5')).toBeUndefined();
  expect(one.asked).toHaveLength(2);
});

test('one that is silent is passed over until it answers', async () => {
  const { one, other, load, pass } = open(2);
  [one.shown, other.shown] = [5, 5];
  for (let time = 0; time < 2; time += 1) await load('domain-0 5');
  const { promise, resolve } = Promise.withResolvers<void>();
  [one.held, other.held] = [promise, promise];
  const pending = load('domain-0 5');
  await new Promise((done) => setImmediate(done));
  const [silent, awake] = one.asked.length > other.asked.length ? [one, other] : [other, one];
  awake.held = Promise.resolve();
  pass(501);
  const before = silent.asked.length;
  for (let time = 0; time < 3; time += 1) expect(await load('domain-0 5')).toEqual([[5]]);
  expect(silent.asked).toHaveLength(before);
  resolve();
  expect(await pending).toEqual([[5]]);
  for (let time = 0; time < 2; time += 1) await load('domain-0 5');
  expect(silent.asked).toHaveLength(before + 1);
});

test('loads that wait for the same position wait once', async () => {
  const { one, load } = open(1);
  one.shown = 5;
  const answers = await Promise.all([load('domain-0 5'), load('domain-0 5'), load('domain-0 5')]);
  expect(answers).toEqual([[[5]], [[5]], [[5]]]);
  expect(one.waits).toBe(1);
});

test.each<[string, readonly Row[], boolean]>([
  [
    'with workers and without order',
    [
      ['replica_preserve_commit_order', 'OFF'],
      ['replica_parallel_workers', '4'],
    ],
    false,
  ],
  [
    'with one worker',
    [
      ['slave_preserve_commit_order', 'OFF'],
      ['slave_parallel_workers', '1'],
    ],
    true,
  ],
  [
    'in order',
    [
      ['replica_preserve_commit_order', 'ON'],
      ['replica_parallel_workers', '4'],
    ],
    true,
  ],
  ['that has no such setting', [], true],
])('one %s', async (_, order, isAsked) => {
  const { one, load } = open(1);
  [one.shown, one.order] = [5, order];
  expect((await load('domain-0 5')) !== undefined).toBe(isAsked);
});
