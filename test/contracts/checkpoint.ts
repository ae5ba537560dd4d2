import { describe, expect, test } from '@jest/globals';
import type { Checkpoint, Mark } from '../../src/change-feed/checkpoint.ts';

export const mark: Mark = {
  position: { log: 'server', file: 'binlog.000007', offset: 1_234, gtids: 'a:1-5' },
  tables: ['posts', 'users'],
  run: 'run',
};

/** What every `Checkpoint` must hold: run against each implementation. `open` gives one that nobody has saved to. */
export function describeCheckpoint(name: string, open: () => Promise<Checkpoint>): void {
  describe(`the port Checkpoint, held by ${name}`, () => {
    test('there is none until one is saved, and then the last one', async () => {
      const checkpoint = await open();
      expect(await checkpoint.load()).toBeNull();
      await checkpoint.save(mark);
      expect(await checkpoint.load()).toEqual(mark);
      const { gtids: _gtids, ...position } = mark.position;
      const later: Mark = { ...mark, position: { ...position, offset: 2_000 }, tables: [] };
      await checkpoint.save(later);
      expect(await checkpoint.load()).toEqual(later);
    });
  });
}
