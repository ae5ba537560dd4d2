import { expect, test } from '@jest/globals';
import { Versions } from '../../client/src/versions.ts';

test('tells what is newer from what is older, of each row by itself', () => {
  const versions = new Versions(10);
  const answers = [versions.hear('1', 5), versions.hear('1', 4), versions.hear('1', 5), versions.hear('2', 1)];
  expect(answers).toEqual(['newer', 'older', 'older', 'newer']);
});

test('of rows that were forgotten it does not know, unless the version is larger than all that were', () => {
  const versions = new Versions(2);
  for (const [id, version] of [
    ['1', 7],
    ['2', 3],
    ['3', 4],
  ] as const)
    versions.hear(id, version);
  expect([versions.hear('1', 7), versions.hear('4', 8)]).toEqual(['unclear', 'newer']);
});

test('of another epoch nothing is known', () => {
  const versions = new Versions(2);
  versions.hear('1', 7);
  versions.clear();
  expect(versions.hear('1', 1)).toBe('newer');
});
