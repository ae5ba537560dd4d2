import { describe, expect, test } from '@jest/globals';
import { positionIn, positionOfCommit, waitFor } from '../../src/database/mysql-positions.ts';

const uuid = 'a047db78-e75b-11f1-a4ff-02fc00000001';
const other = '3e11fa47-71ca-11e1-9e33-c80aa9429562';

describe('where a server stands', () => {
  test.each([
    [uuid, `${uuid}:1-9`, `${uuid} 9`],
    [uuid.toUpperCase(), `${other}:1-77,\n${uuid}:1-5:8`, `${uuid} 8`],
    [uuid, `${uuid}:1-5:8-9:audit:1-1000`, `${uuid} 9`],
    [uuid, `${uuid}:audit:1-1000`, undefined],
    [uuid, `${other}:1-77`, undefined],
    [uuid, '', undefined],
    ['domain-0', '0-1-9', 'domain-0 9'],
    ['domain-2', '0-1-9,2-4-12', 'domain-2 12'],
    ['domain-1', '0-1-9,11-1-3', undefined],
    ['domain-0', '', undefined],
  ])('%s in %j', (own, all, expected) => {
    expect(positionIn([own, all])).toBe(expected);
  });

  test('a server that tells of none has none', () => {
    expect(positionIn(undefined)).toBeUndefined();
    expect(positionIn([])).toBeUndefined();
  });
});

describe('where a commit stands', () => {
  test.each<[unknown, string | undefined]>([
    [{ stateChanges: { gtids: [`${uuid}:23`], systemVariables: {} } }, `${uuid} 23`],
    [{ stateChanges: { gtids: [`${uuid}:audit:23`], systemVariables: {} } }, undefined],
    [{ stateChanges: { gtids: [], systemVariables: { last_gtid: '0-1-100' } } }, 'domain-0 100'],
    [{ stateChanges: { gtids: [], systemVariables: { last_gtid: '' } } }, undefined],
    [{ stateChanges: { gtids: [], systemVariables: {} } }, undefined],
    [{ affectedRows: 1 }, undefined],
    [undefined, undefined],
  ])('%j', (answer, expected) => {
    expect(positionOfCommit(answer)).toBe(expected);
  });
});

test('each server is asked in its own way', () => {
  expect(waitFor(`${uuid} 23`)).toMatchObject({ gtid: `${uuid}:23` });
  expect(waitFor('domain-7 23')).toMatchObject({ gtid: '7-1-23', sql: expect.stringContaining('MASTER_GTID_WAIT') });
});
