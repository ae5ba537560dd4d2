import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `npm start`: builds when something is newer than the last build, then runs the service inside this process, so that
 * signals and the exit code need no one to pass them on. Without TypeScript (a production install) it runs what is built.
 */
const root = join(import.meta.dirname, '..');
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const built = join(root, 'dist', 'main.js');

function isStale(): boolean {
  if (!existsSync(built)) return true;
  const sources = ['src/**/*.ts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const newest = Math.max(...globSync(sources, { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs));
  return newest > statSync(built).mtimeMs;
}

function build(): void {
  console.log('Building ...');
  const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
    stdio: 'inherit',
  });
  if (status !== 0) {
    console.error('The build failed; the messages above say where.');
    process.exit(1);
  }
  // The compiler leaves outputs alone that would not change; the time of this file is the time of the build.
  utimesSync(built, new Date(), new Date());
}

if (existsSync(compiler) && isStale()) build();
if (!existsSync(built)) {
  console.error('There is no build: run `npm install` with the development dependencies, then `npm run build`.');
  process.exit(1);
}

/**
 * npm runs scripts in a shell. A signal sent to npm ends that shell, and no shell passes it on: when the shell is gone,
 * the signal was meant for this process. (`exec node ...` would do as well, but not on Windows.)
 */
function stopWithShell(): void {
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 200).unref();
}

if (process.env['npm_lifecycle_event'] !== undefined) stopWithShell();
process.argv.splice(1, 1, built);
await import(built);
