import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';

/**
 * `npm start`: builds when something is newer than the last build, then runs the service inside this process, so that
 * signals and the exit code need no one to pass them on. Without TypeScript (a production install) it runs what is built.
 */
const root = join(import.meta.dirname, '..');
const built = join(root, 'dist', 'main.js');

/** What is made of what, and by which program of the development dependencies. */
type Part = {
  readonly sources: readonly string[];
  /** Its time is the time of the build. */
  readonly output: string;
  readonly program: string;
  readonly args: readonly string[];
};

const parts: readonly Part[] = [
  {
    sources: ['src/**/*.ts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
    output: built,
    program: join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
    args: ['-p', join(root, 'tsconfig.build.json')],
  },
  {
    sources: ['dashboard/*.*', 'dashboard/{src,public}/**/*.*', 'client/src/**/*.ts', 'package-lock.json'],
    output: join(root, 'dist', 'dashboard', 'index.html'),
    program: join(root, 'node_modules', 'vite', 'bin', 'vite.js'),
    args: ['build', join(root, 'dashboard'), '--logLevel', 'warn'],
  },
];

function isStale({ sources, output }: Part): boolean {
  if (!existsSync(output)) return true;
  const newest = Math.max(...globSync([...sources], { cwd: root }).map((file) => statSync(join(root, file)).mtimeMs));
  return newest > statSync(output).mtimeMs;
}

function build({ program, args, output }: Part): void {
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: 'inherit' });
  if (status !== 0) {
    console.error('The build failed; the messages above say where.');
    process.exit(1);
  }
  // Outputs that would not change may be left alone.
  utimesSync(output, new Date(), new Date());
}

const stale = parts.filter((part) => existsSync(part.program) && isStale(part));
if (stale.length > 0) console.log('Building ...');
for (const part of stale) build(part);
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
