import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { verdictOn } from './packages/audit.ts';

/**
 * `npm run check:audit`: what the registry knows of weaknesses in the packages of the lockfile. Where it does not answer that
 * question, as a mirror may not, this says so and fails nothing.
 */
const { stdout, stderr, error } = spawnSync('npm', ['audit', '--json', '--package-lock-only'], {
  cwd: join(import.meta.dirname, '..'),
  encoding: 'utf8',
  timeout: 120_000,
  maxBuffer: 64 * 1024 * 1024,
});
const { lines, isBad } = verdictOn(stdout, error?.message ?? stderr);
console.log(lines.join('\n'));
process.exitCode = isBad ? 1 : 0;
