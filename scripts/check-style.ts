import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

/** Style as a failing check (the model is `src/tidy.zig` of TigerBeetle): what no linter knows of this project's rules. */
const root = join(import.meta.dirname, '..');
const longestFileLines = 350;
const vagueNames = /^(utils?|helpers?|common|misc|index)$|-(service|manager)$/;

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
  if (extname(file) === '.lua') checkLua(file, text);
  if (extname(file) === '.ts') checkTypeScript(file, text);
}

/** A path of the machine that something was written on means nothing anywhere else. */
function checkPaths(file: string, text: string): void {
  const found = /(?:^|[\s"'`(=])(\/(?:work|root|home)\/[\w./-]+)/m.exec(text);
  if (found !== null) problems.push(`${file}: contains the machine path ${found[1]}`);
}

function checkLua(file: string, text: string): void {
  for (const part of ['-- purpose: ', '-- KEYS: ', '-- ARGV: ', '-- reply: ']) {
    if (!text.includes(part)) problems.push(`${file}: the header lacks a line "${part.trim()} ..."`);
  }
}

function checkTypeScript(file: string, text: string): void {
  const name = basename(file).replace(/(\.test|\.d)?\.ts$/, '');
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) problems.push(`${file}: file names are in kebab-case`);
  if (!file.startsWith('src/')) return;
  if (vagueNames.test(name)) problems.push(`${file}: "${name}" says nothing of what the file is for`);
  const lines = text.split('\n').length;
  if (lines > longestFileLines) problems.push(`${file}: ${lines} lines; split it (at most ${longestFileLines})`);
  if (text.includes('process.env') && file !== 'src/config.ts') {
    problems.push(`${file}: only src/config.ts reads the environment`);
  }
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${files.length} files, nothing to complain about.`);
