import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

/** Style as a failing check (the model is `src/tidy.zig` of TigerBeetle): what no linter knows of this project's rules. */
const root = join(import.meta.dirname, '..');
const longestFileLines = 350;
const vagueNames = /^(misc|index)$|(^|-)(utils?|helpers?|common)$|-(service|manager)$/;
const readsEnvironment =
  /process\s*(\?\.|\.|\[\s*['"])\s*env\b|import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*'(node:)?process'/;

const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
});
const files = listed.split('\n').filter((file) => file !== '' && existsSync(join(root, file)));
const problems: string[] = [];

for (const file of files) {
  if (/\.(png|ico)$/.test(file)) continue;
  const text = readFileSync(join(root, file), 'utf8');
  checkPaths(file, text);
  // Tools look for their configuration under names of their own.
  if (['.ts', '.tsx', '.lua', '.sql'].includes(extname(file)) && !file.endsWith('.config.ts')) checkName(file);
  if (extname(file) === '.lua') checkLua(file, text);
  if (extname(file) === '.ts') checkTypeScript(file, text);
}

/** A path of the machine that something was written on means nothing anywhere else. */
function checkPaths(file: string, text: string): void {
  const found = /(?:^|[\s"'`(=:,<[]|file:\/\/)(\/(?:work|root|home)\/[\w./-]*)/m.exec(text);
  if (found !== null) problems.push(`${file}: contains the machine path ${found[1]}`);
}

function checkLua(file: string, text: string): void {
  for (const part of ['-- purpose: ', '-- KEYS: ', '-- ARGV: ', '-- reply: ']) {
    if (!text.includes(part)) problems.push(`${file}: the header lacks a line "${part.trim()} ..."`);
  }
}

function checkName(file: string): void {
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(nameOf(file))) problems.push(`${file}: file names are in kebab-case`);
}

function nameOf(file: string): string {
  return basename(file, extname(file)).replace(/\.(test|d)$/, '');
}

function checkTypeScript(file: string, text: string): void {
  if (!file.startsWith('src/') && !file.startsWith('client/src/')) return;
  const name = nameOf(file);
  if (vagueNames.test(name)) problems.push(`${file}: "${name}" says nothing of what the file is for`);
  const lines = text.split('\n').length;
  if (lines > longestFileLines) problems.push(`${file}: ${lines} lines; split it (at most ${longestFileLines})`);
  if (readsEnvironment.test(text) && file !== 'src/config.ts') {
    problems.push(`${file}: only src/config.ts reads the environment`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${files.length} files, nothing to complain about.`);
