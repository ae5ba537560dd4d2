import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { findViolation } from './batch.ts';
import { mutations } from './mutations.ts';

const scripts = join(import.meta.dirname, '..', '..', 'lua');

/** Where the search begins, and how far it goes at most: each mutation is found within a third of that. */
const from = 1;
const most = 1_500;

/** As the oracle says it. */
const staleRead = /answered .*, where only .* can be right/;

describe('a guard that is taken out is missed', () => {
  test.each(mutations.map((mutation) => [mutation.name, mutation] as const))(
    '%s',
    async (_name, mutation) => {
      for (const { file, find } of mutation.scripts ?? []) {
        expect(readFileSync(join(scripts, `${file}.lua`), 'utf8')).toContain(find);
      }
      expect(await findViolation({ from, count: most }, mutation, staleRead)).toMatch(staleRead);
    },
    60_000,
  );
});
