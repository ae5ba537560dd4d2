import { describe, expect, test } from '@jest/globals';
import { fenceTableOf, parseSlots, slotOf } from '../../src/redis/slots.ts';

describe('slots of a cluster', () => {
  // From the specification, and from `CLUSTER KEYSLOT` of a server.
  test.each([
    ['123456789', 12_739],
    ['post:1', 10_484],
  ])('%s is in slot %i', (name, slot) => {
    expect(slotOf(name)).toBe(slot);
  });

  test('each slot has a fence table of its own, which is in it', () => {
    const tables = Array.from({ length: 16_384 }, (_, slot) => fenceTableOf(slot));
    expect(new Set(tables).size).toBe(16_384);
    for (const [slot, table] of tables.entries()) expect(slotOf(/\{(\d+)\}/.exec(table)?.[1] ?? '')).toBe(slot);
  });

  test('the reply of a node is read: ranges with their masters, replicas left out, the host that was asked for none', () => {
    const node = (host: string | null, port: number) => [
      host === null ? null : Buffer.from(host),
      port,
      Buffer.from('id'),
    ];
    const reply = [
      [0, 5_460, node('10.0.0.1', 7_000), node('10.0.0.4', 7_003)],
      [5_461, 16_383, node('', 7_001)],
      [16_383, 16_383, node(null, 7_002)],
    ];
    expect(parseSlots(reply, 'asked')).toEqual([
      { first: 0, last: 5_460, master: '10.0.0.1:7000' },
      { first: 5_461, last: 16_383, master: 'asked:7001' },
      { first: 16_383, last: 16_383, master: 'asked:7002' },
    ]);
  });

  test.each([
    ['nothing', []],
    ['no list', null],
    ['something else', [7]],
    [
      'rows of something else',
      [
        [Buffer.from('x'), 1, []],
        [0, 1, 7],
      ],
    ],
  ])('%s is no cluster that can be used', (_what, reply) => {
    expect(() => parseSlots(reply, 'asked')).toThrow('the cluster has no slots yet');
  });
});
