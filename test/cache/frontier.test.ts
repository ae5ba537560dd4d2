import { expect, test } from '@jest/globals';
import { latestOf } from '../../src/cache/frontier.ts';
import type { Since } from '../../src/cache/store.ts';

/** What several loads must show that are one query. What each store holds of it is in `test/contracts/frontier.ts`. */

const at = (position: string | undefined): Since => ({ position, mark: `mark of ${position}` });

test('the latest of a stream, by number and not as text', () => {
  expect(latestOf([at('log 9')])).toEqual(at('log 9'));
  expect(latestOf([at('log 9'), at('log 10'), at('log 2')])?.position).toBe('log 10');
  expect(latestOf([at('log 9007199254740993'), at('log 9007199254740992')])?.position).toBe('log 9007199254740993');
});

test('one that does not know stands for all, and so do two streams', () => {
  expect(latestOf([at('log 9'), at(undefined)])?.position).toBeUndefined();
  expect(latestOf([at(undefined), at('log 9')])).toEqual(at(undefined));
  expect(latestOf([at('log 9'), at('other log 9')])).toMatchObject({ position: undefined });
});

test('one that asks for the primary takes all along', () => {
  expect(latestOf([at('log 9'), undefined])).toBeUndefined();
  expect(latestOf([undefined])).toBeUndefined();
});
