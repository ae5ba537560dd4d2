import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './stage/stage.ts';

export interface Checkout {
  readonly name: string;
  readonly folder: string;
  remove(): void;
}

/** A revision in a folder of its own, built, with the packages of its own lockfile. */
export function checkOut(revision: string): Checkout {
  const folder = mkdtempSync(join(tmpdir(), 'energex-cache-revision-'));
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const commit = git('rev-parse', '--short', `${revision}^{commit}`);
  git('worktree', 'add', '--detach', '--force', folder, commit);
  const isSame = git('diff', '--name-only', commit, '--', 'package-lock.json') === '';
  if (isSame) symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  else execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'ignore' });
  execFileSync('npm', ['run', '-s', 'build'], { cwd: folder, stdio: 'inherit' });
  const remove = (): void => {
    git('worktree', 'remove', '--force', folder);
    rmSync(folder, { recursive: true, force: true });
  };
  return { name: `${revision} (${commit})`, folder, remove };
}
