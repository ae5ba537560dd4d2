/**
 * Planning past one machine: 10 to 2,000 instances, simulated from what one of them costs. See docs/scaling.md.
 *
 *   npm run bench:scaling [-- --seed 1] [--measured bench/output/results.json,FILE] [--write]
 *
 * `--measured` takes the costs out of what `npm run bench` wrote last, as far as that has them. `--write` keeps costs, results
 * and picture in the repository; then `npm run docs` brings the tables into docs/scaling.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BenchOutput, costsOf, type Parameters, readParameters, withMeasured } from './scaling/parameters.ts';
import { makePlan } from './scaling/plan.ts';
import { drawPlan } from './scaling/picture.ts';
import { failoverTable, herds, shapeTable, sizeTable, sizingTable, type Table, wallTable } from './scaling/tables.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    measured: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});

const root = join(import.meta.dirname, '..');
const seed = Number(values.seed);
if (!Number.isSafeInteger(seed)) throw new Error('--seed must be a whole number');
const parameters = (values.measured?.split(',') ?? []).reduce(takeMeasured, readParameters());
const costs = costsOf(parameters);
const plan = makePlan(costs, seed, (done) => process.stderr.write(`${done}\n`));

function takeMeasured(known: Parameters, file: string): Parameters {
  const output: BenchOutput = JSON.parse(readFileSync(file, 'utf8'));
  return withMeasured(known, output);
}

const shown: readonly [title: string, table: Table][] = [
  ['Shapes, per instance', shapeTable()],
  ['What Redis and the primary do', sizeTable(plan)],
  ['Walls', wallTable(plan)],
  ['Sizing', sizingTable(costs)],
  ['Failover', failoverTable(costs)],
];
for (const [title, { head, rows }] of shown) {
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string => cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ');
  console.log(`\n${title}\n\n${[head, ...rows].map((row) => line(row).trimEnd()).join('\n')}`);
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  console.log(`\nWritten to ${folder}: ${Object.keys(files).join(', ')}`);
}

const toText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
write(join(root, 'bench/output'), {
  'scaling.json': toText({ parameters, ...plan, failovers: herds(costs) }),
  'scaling.svg': drawPlan(plan),
});
if (values.write) {
  write(join(root, 'bench/scaling'), { 'parameters.json': toText(parameters), 'results.json': toText(plan) });
  write(join(root, 'docs/images'), { 'scaling.svg': drawPlan(plan) });
}
