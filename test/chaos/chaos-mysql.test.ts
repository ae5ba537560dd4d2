import { expect, test } from '@jest/globals';
import { findMysqlServer } from '../harness/binaries.ts';
import { faults } from './faults.ts';
import { describeChaos, rounds } from './fixed-set.ts';

test('every fault has its place in the fixed set', () => {
  const listed = Object.values(rounds).flatMap((each) => each.flatMap(({ names }) => names));
  expect([...new Set(listed)].sort()).toEqual(faults.map(({ name }) => name).sort());
});

// Where there is none, the report at the start of the run says why.
if (!('unavailable' in (await findMysqlServer()))) describeChaos('mysql');
