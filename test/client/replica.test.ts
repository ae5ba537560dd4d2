import { describe, expect, test } from '@jest/globals';
import { Replica } from '../../client/src/replica.ts';

type Row = {
  readonly id: number;
  readonly created_at: string | null;
  readonly updated_at: string;
  readonly text: string;
};

/** Rows are older the larger their id is, so that the list is 1, 2, 3. */
function row(id: number, text: string, second = 0): Row {
  const updatedAt = `2025-01-02T00:00:${String(second).padStart(2, '0')}Z`;
  return { id, created_at: `2025-01-01T00:00:${59 - id}Z`, updated_at: updatedAt, text };
}

const longAgo = 0;
const now = 10_000;
/** Answers of before this are settled. */
const settled = 7_000;

function answered(replica: Replica<Row>, rows: readonly Row[], { hasMore = false, at = longAgo } = {}): void {
  expect(replica.answer(replica.begin(), rows, hasMore, at)).toEqual([]);
}

const shown = (replica: Replica<Row>): string[] => replica.rows.map(({ text }) => text);

describe('an event after an answer', () => {
  test('is shown when the answer is settled and the row was changed since', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')]);
    expect(replica.hear('1', row(1, 'b', 1), 1, settled)).toBe(false);
    expect(shown(replica)).toEqual(['b']);
  });

  test.each([
    ['the answer was given just now', { at: now, second: 1, settledBefore: settled }],
    ['the row says that it was not changed since', { at: longAgo, second: 0, settledBefore: settled }],
    ['an epoch has just begun', { at: longAgo, second: 1, settledBefore: -Infinity }],
  ])('is doubtful, and not shown, when %s', (_, { at, second, settledBefore }) => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')], { at });
    expect(replica.hear('1', row(1, 'b', second), 1, settledBefore)).toBe(true);
    expect(shown(replica)).toEqual(['a']);
    expect(replica.answerRow(replica.begin(), '1', row(1, 'b', second), now)).toBe(false);
    expect(shown(replica)).toEqual(['b']);
  });

  test('is ordered by versions once an answer was the same as an event', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')], { at: now });
    expect(replica.hear('1', row(1, 'b'), 5, settled)).toBe(true);
    replica.answerRow(replica.begin(), '1', row(1, 'b'), now);
    expect(replica.hear('1', row(1, 'c'), 6, settled)).toBe(false);
    expect(shown(replica)).toEqual(['c']);
    expect(replica.hear('1', row(1, 'd'), 4, settled)).toBe(true);
    expect(shown(replica)).toEqual(['c']);
  });

  test('is in doubt again when versions of before cannot be compared', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')]);
    replica.hear('1', row(1, 'b', 1), 5, settled);
    replica.forgetVersions();
    expect(replica.hear('1', row(1, 'c', 2), 6, settled)).toBe(true);
    expect(replica.hear('2', row(2, 'new', 2), 7, settled)).toBe(true);
    expect(shown(replica)).toEqual(['b']);
  });

  test('is shown at once when it deletes', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a'), row(2, 'b')], { at: now });
    expect(replica.hear('1', null, 1, -Infinity)).toBe(false);
    expect(shown(replica)).toEqual(['b']);
  });
});

describe('an answer', () => {
  test('does not undo what was heard while it was on its way, and is in doubt about it', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')]);
    const reading = replica.begin();
    replica.hear('1', row(1, 'b', 1), 1, settled);
    expect(replica.answer(reading, [row(1, 'a')], false, now)).toEqual(['1']);
    expect(shown(replica)).toEqual(['b']);
  });

  test('does not bring back what was deleted while it was on its way', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')]);
    const [one, two] = [replica.begin(), replica.begin()];
    replica.hear('1', null, 1, settled);
    expect(replica.answer(one, [row(1, 'a')], false, now)).toEqual([]);
    expect(replica.answer(two, [row(1, 'a')], false, now)).toEqual([]);
    expect(shown(replica)).toEqual([]);
  });

  test('of a read that began earlier than another that was answered counts no more', () => {
    const replica = new Replica<Row>(Infinity);
    const [early, late] = [replica.begin(), replica.begin()];
    replica.answerRow(late, '1', row(1, 'b'), now);
    expect(replica.answerRow(early, '1', row(1, 'a'), now)).toBe(false);
    expect(shown(replica)).toEqual(['b']);
  });

  test('takes the place of what was doubtful, which stays so if it was heard since', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')], { at: now });
    const reading = replica.begin();
    expect(replica.hear('1', row(1, 'c'), 2, settled)).toBe(true);
    expect(replica.answerRow(reading, '1', row(1, 'b'), now)).toBe(true);
    expect(shown(replica)).toEqual(['b']);
    expect(replica.answerRow(replica.begin(), '1', null, now)).toBe(false);
    expect(shown(replica)).toEqual([]);
  });

  test('that fails leaves everything as it was', () => {
    const replica = new Replica<Row>(Infinity);
    answered(replica, [row(1, 'a')]);
    replica.fail(replica.begin());
    expect(shown(replica)).toEqual(['a']);
  });
});

describe('a list of the newest', () => {
  test('shows no more than those, nor what stands behind the last of them', () => {
    const replica = new Replica<Row>(2);
    answered(replica, [row(2, 'b'), row(3, 'c')], { hasMore: true });
    expect(replica.hear('5', row(5, 'behind', 1), 1, settled)).toBe(false);
    expect(shown(replica)).toEqual(['b', 'c']);
    expect(replica.hear('1', row(1, 'a', 1), 2, settled)).toBe(false);
    expect(shown(replica)).toEqual(['a', 'b']);
    expect(replica.isShort).toBe(false);
  });

  test('is short when one is gone and there are more', () => {
    const replica = new Replica<Row>(2);
    answered(replica, [row(1, 'a'), row(2, 'b')], { hasMore: true });
    replica.hear('1', null, 1, settled);
    expect([shown(replica), replica.isShort]).toEqual([['b'], true]);
  });

  test('is short when one has moved behind the last', () => {
    const replica = new Replica<Row>(2);
    answered(replica, [row(1, 'a'), row(2, 'b')], { hasMore: true });
    replica.hear('1', { ...row(9, 'a', 1), id: 1 }, 1, settled);
    expect([shown(replica), replica.isShort]).toEqual([['b'], true]);
  });

  test('knows what happened behind its last row while it was read', () => {
    const replica = new Replica<Row>(2);
    answered(replica, [row(1, 'a'), row(2, 'b')], { hasMore: true });
    replica.hear('1', null, 1, settled);
    const reading = replica.begin();
    replica.hear('3', row(3, 'new', 1), 2, settled);
    expect(replica.answer(reading, [row(2, 'b'), row(3, 'old')], true, now)).toEqual(['3']);
    expect(shown(replica)).toEqual(['b', 'new']);
  });

  test('is not short when there are no more', () => {
    const replica = new Replica<Row>(2);
    answered(replica, [row(1, 'a'), row(2, 'b')]);
    replica.hear('1', null, 1, settled);
    expect(replica.isShort).toBe(false);
  });
});

test('what is not shown is remembered up to a bound, then the list is to be read again', () => {
  const replica = new Replica<Row>(Infinity);
  const reading = replica.begin();
  for (let id = 1; id <= 1_001; id += 1) replica.hear(String(id), null, id, settled);
  expect(replica.isShort).toBe(true);
  replica.answer(reading, [row(1, 'a')], false, now);
  expect([shown(replica), replica.isShort]).toEqual([['a'], false]);
});
