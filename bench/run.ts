/**
 * The benchmarks: see README.md.
 *
 *   npm run bench -- [--path hot] [--rounds 7] [--seconds 1] [--no-peers] [--posts 10000]
 *   npm run bench -- --compare REVISION REVISION [--path hot]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drawChart } from './chart.ts';
import { checkOut } from './checkouts.ts';
import { hasWrk } from './load/wrk.ts';
import { type Options, type Path, service } from './paths/path.ts';
import { readPaths } from './paths/reads.ts';
import { describe, type Result, toResult } from './report.ts';
import { hasNginx, installPeers } from './stage/servers.ts';
import { openStage, root } from './stage/stage.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    path: { type: 'string' },
    rounds: { type: 'string', default: '7' },
    seconds: { type: 'string', default: '1' },
    posts: { type: 'string', default: '10000' },
    'no-peers': { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
  },
});

const all: readonly Path[] = [...readPaths];
const chosen = values.path === undefined ? all : all.filter(({ name }) => values.path?.split(',').includes(name));
if (chosen.length === 0) throw new Error(`--path must be one of ${all.map(({ name }) => name).join(', ')}`);
if (!hasWrk) throw new Error('wrk is needed: apt-get install wrk');
if (!hasNginx) console.log('nginx is not installed (apt-get install nginx-light): it is left out');

const comparing = values.compare;
const trees = comparing ? positionals.map((revision) => checkOut(revision)) : [];
if (comparing && trees.length !== 2) throw new Error('--compare takes two revisions');
if (!comparing) execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
const withPeers = !comparing && !values['no-peers'];
if (withPeers) installPeers();
const options: Options = {
  rounds: Number(values.rounds),
  seconds: Number(values.seconds),
  withPeers,
  checkouts: comparing ? new Map(trees.map(({ name, folder }) => [name, folder])) : new Map([[service, root]]),
};

const stage = await openStage(Number(values.posts));
const results: Result[] = [];
try {
  for (const path of chosen) {
    // Of two commits the first is what the second is compared with.
    const base = trees[0]?.name ?? path.base;
    const result = toResult({ ...path, base, targets: comparing ? [] : path.targets }, await path.run(stage, options));
    results.push(result);
    console.log(`${describe(result)}\n`);
  }
} finally {
  await stage.close();
  for (const tree of trees) tree.remove();
}

const folder = join(root, 'bench/output');
mkdirSync(folder, { recursive: true });
const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version, database: stage.database };
writeFileSync(join(folder, 'results.json'), `${JSON.stringify({ machine, options: values, results }, null, 2)}\n`);
writeFileSync(join(folder, 'results.svg'), drawChart(results));
console.log(`Written to ${folder}`);
