import { describe, expect, test } from '@jest/globals';
import { Gathering, type GatheringBounds } from '../src/gathering.ts';

/** What went out together, and how it is answered: each text in capitals. */
function gathering(bounds: Partial<GatheringBounds<string>> = {}) {
  const sent: (readonly string[])[] = [];
  const send = async (asked: readonly string[]): Promise<readonly string[]> => {
    sent.push(asked);
    if (asked.includes('bad')) throw new Error('refused');
    return asked.map((each) => each.toUpperCase());
  };
  return { sent, gathered: new Gathering(send, { mostTogether: 3, ...bounds }) };
}

describe('what is asked for in one turn', () => {
  test('goes out together, and each gets its own answer', async () => {
    const { sent, gathered } = gathering();
    expect(await Promise.all([gathered.ask('a'), gathered.ask('b')])).toEqual(['A', 'B']);
    expect(sent).toEqual([['a', 'b']]);
  });

  test('is cut at the bound', async () => {
    const { sent, gathered } = gathering();
    const answers = await Promise.all(['a', 'b', 'c', 'd'].map((each) => gathered.ask(each)));
    expect(answers).toEqual(['A', 'B', 'C', 'D']);
    expect(sent).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('is cut where it gets too large; what is too large by itself goes alone', async () => {
    const { sent, gathered } = gathering({ mostTogether: 9, mostBytes: 4, bytesOf: (text) => text.length });
    await Promise.all(['aa', 'bb', 'c', 'ddddd', 'e'].map((each) => gathered.ask(each)));
    expect(sent).toEqual([['aa', 'bb'], ['c'], ['ddddd'], ['e']]);
  });

  test('is not joined by who asks once it has gone out', async () => {
    const { sent, gathered } = gathering();
    const first = gathered.ask('a');
    await Promise.resolve();
    const second = gathered.ask('b');
    expect(await Promise.all([first, second])).toEqual(['A', 'B']);
    expect(sent).toEqual([['a'], ['b']]);
  });

  test('fails together, and the next goes out again', async () => {
    const { gathered } = gathering();
    const failed = await Promise.allSettled([gathered.ask('a'), gathered.ask('bad')]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await gathered.ask('c')).toBe('C');
  });
});
