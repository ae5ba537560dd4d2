/**
 * The benchmarks: see README.md.
 *
 *   npm run bench -- [--path hot] [--rounds 7] [--seconds 1] [--no-peers] [--posts 10000] [--database mysql]
 *   npm run bench -- --compare REVISION REVISION [--path hot]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { DatabaseFlavour } from '../test/harness/database-server.ts';
import { drawChart } from './chart.ts';
import { checkOut } from './checkouts.ts';
import { hasWrk } from './load/wrk.ts';
import { latencyPaths } from './paths/latency.ts';
import { type Options, type Path, service } from './paths/path.ts';
import { growthPaths } from './paths/growth.ts';
import { instancePaths } from './paths/instances.ts';
import { missPaths } from './paths/misses.ts';
import { readPaths } from './paths/reads.ts';
import { writePaths } from './paths/writes.ts';
import { describe, type Result, toResult } from './report.ts';
import { hasNginx, installPeers } from './stage/servers.ts';
import { describeRedisFloor, hasRedisBenchmark, measureRedisFloor, type RedisFloor } from './stage/redis-floor.ts';
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
    /** `mysql`, `mariadb` or `both`; MySQL where it is installed, when it is not given. */
    database: { type: 'string' },
  },
});

const all: readonly Path[] = [
  ...readPaths,
  ...writePaths,
  ...growthPaths,
  ...instancePaths,
  ...missPaths,
  ...latencyPaths,
];
const chosen = values.path === undefined ? all : all.filter(({ name }) => values.path?.split(',').includes(name));
if (chosen.length === 0) throw new Error(`--path must be one of ${all.map(({ name }) => name).join(', ')}`);
if (!hasWrk) throw new Error('wrk is needed: apt-get install wrk');
if (!hasNginx) console.log('nginx is not installed (apt-get install nginx-light): it is left out');

if (!hasRedisBenchmark) console.log('redis-benchmark is not installed (apt-get install redis-tools): it is left out');

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

const flavours = toFlavours(values.database);
const results: Result[] = [];
const databases: string[] = [];
const redisAlone: RedisFloor[] = [];
try {
  for (const flavour of flavours) await runOn(flavour);
} finally {
  for (const tree of trees) tree.remove();
}

async function runOn(flavour: DatabaseFlavour | undefined): Promise<void> {
  const stage = await openStage(Number(values.posts), flavour);
  databases.push(stage.database);
  try {
    if (hasRedisBenchmark && redisAlone.length === 0) {
      redisAlone.push(...(await measureRedisFloor(stage)));
      console.log(`${describeRedisFloor(redisAlone)}\n`);
    }
    for (const path of chosen) {
      // Of two commits the first is what the second is compared with.
      const base = trees[0]?.name ?? path.base;
      const title = flavours.length > 1 ? `${path.title} (${stage.database})` : path.title;
      const targets = comparing ? [] : path.targets;
      const result = toResult({ ...path, title, base, targets }, await path.run(stage, options));
      results.push(result);
      console.log(`${describe(result)}\n`);
    }
  } finally {
    await stage.close();
  }
}

function toFlavours(text: string | undefined): readonly (DatabaseFlavour | undefined)[] {
  if (text === 'both') return ['mysql', 'mariadb'];
  if (text === undefined || text === 'mysql' || text === 'mariadb') return [text];
  throw new Error('--database must be mysql, mariadb or both');
}

const folder = join(root, 'bench/output');
mkdirSync(folder, { recursive: true });
const machine = { cpu: cpus()[0]?.model ?? '', cores: cpus().length, node: process.version, databases };
writeFileSync(
  join(folder, 'results.json'),
  `${JSON.stringify({ machine, options: values, redisAlone, results }, null, 2)}\n`,
);
writeFileSync(join(folder, 'results.svg'), drawChart(results));
console.log(`Written to ${folder}`);
