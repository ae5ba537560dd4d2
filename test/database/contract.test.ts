import { afterAll, beforeAll } from '@jest/globals';
import { describeDatabase } from '../contracts/database.ts';
import { databases } from '../harness/databases.ts';
import { type LeakCheck, trackLeaks } from '../harness/leaks.ts';

let leaks: LeakCheck;
beforeAll(() => {
  leaks = trackLeaks();
});
afterAll(() => leaks.check());

for (const { name, open } of databases) describeDatabase(name, open);
