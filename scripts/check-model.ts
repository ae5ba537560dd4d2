import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { canInstallPackages, installPackages } from '../test/harness/debian-packages.ts';

/**
 * `npm run check:model`: explores the formal model of `spec/` in each of its configurations, to the end; then takes out one
 * guard of the protocol after the other, and demands that the model finds what it was there for.
 */

const model = join(import.meta.dirname, '..', 'spec', 'read-through.pml');
const atOnce = 2;
const longestMs = 300_000;
const run = promisify(execFile);

type Exploration = {
  readonly name: string;
  readonly defines: readonly string[];
  readonly expected: 'holds' | 'breaks';
};

const fences = ['LOSSES=0', 'READS=1'];
const table = ['LOSSES=1', 'READS=1'];
const outage = ['WRITERS=1', 'LOSSES=0', 'OUTAGES=1', 'LESS'];
const restart = ['WRITERS=1', 'LOSSES=0', 'OUTAGES=1', 'SNAPSHOT', 'READS=1'];

/** The longest come first, so that both processors are busy to the end. */
const explorations: readonly Exploration[] = [
  holds('fence table, one loss', ['REFRESH', 'LOSSES=1']),
  holds('restart with an old snapshot', ['WRITERS=1', 'LOSSES=0', 'OUTAGES=1', 'SNAPSHOT', 'LESS']),
  holds('outage and a loss', ['WRITERS=1', 'LOSSES=1', 'OUTAGES=1', 'LESS']),
  holds('outage, two writers', ['LOSSES=0', 'OUTAGES=1', 'READS=1']),
  holds('two outages', ['WRITERS=1', 'LOSSES=0', 'OUTAGES=2', 'LESS']),
  holds('shared flights', ['FLIGHT', 'LOSSES=0']),
  holds('fence table, two losses', ['REFRESH', 'LOSSES=2', 'READS=1']),
  // Guards that others cover: nothing breaks without them, and spec/README.md says why. The day it does, they are more.
  holds('NOFILLCHECK', ['NOFILLCHECK', 'LOSSES=2', 'READS=1']),
  holds('NOTABLERUN', ['NOTABLERUN', ...restart]),
  breaks('NOFENCE', fences),
  breaks('NOLEASE', fences),
  breaks('RELEASEALL', fences),
  breaks('REUSEVERSION', ['LOSSES=0']),
  breaks('VALUEFIRST', ['LOSSES=0']),
  breaks('NOTABLE', table),
  breaks('NOBARRIER', table),
  breaks('LATEBARRIER', table),
  breaks('NOEPOCH', ['LOSSES=2', 'READS=1']),
  breaks('NORUNID', restart),
  breaks('TRUSTFIRST', outage),
  breaks('SWEEPFIRST', outage),
  breaks('LATEROW', outage),
  breaks('LATEJOIN', ['FLIGHT', 'WRITERS=1', ...fences]),
];

function holds(name: string, defines: readonly string[]): Exploration {
  return { name, defines, expected: 'holds' };
}

function breaks(guard: string, defines: readonly string[]): Exploration {
  return { name: guard, defines: [guard, ...defines], expected: 'breaks' };
}

type Outcome = {
  readonly states: number;
  /** Why this is not what was expected. */
  readonly surprise: string | undefined;
  /** What was found, in a few words. */
  readonly found: string;
};

async function main(): Promise<void> {
  await requirePrograms();
  const began = performance.now();
  const waiting = explorations.values();
  let surprises = 0;
  const work = async (): Promise<void> => {
    for (const exploration of waiting) {
      if (!(await report(exploration))) surprises += 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  const seconds = secondsSince(began);
  if (surprises > 0) {
    console.error(`${surprises} of ${explorations.length} explorations did not end as they must (${seconds} s).`);
    process.exitCode = 1;
  } else {
    console.log(`${explorations.length} explorations ended as they must, in ${seconds} s.`);
  }
}

/** Explores, and prints one line. Resolves with whether it ended as expected. */
async function report(exploration: Exploration): Promise<boolean> {
  const began = performance.now();
  const { states, surprise, found } = await explore(exploration);
  const columns = [
    exploration.name.padEnd(30),
    String(states).padStart(9),
    'states',
    secondsSince(began).padStart(6),
    's ',
    found,
  ];
  console.log(columns.join(' '));
  if (surprise !== undefined) console.error(`SURPRISE in "${exploration.name}": ${surprise}`);
  return surprise === undefined;
}

async function explore({ defines, expected }: Exploration): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), 'energex-model-'));
  const options = { cwd: folder, timeout: longestMs, maxBuffer: 16 * 1024 * 1024 };
  try {
    await run('spin', ['-a', ...defines.map((define) => `-D${define}`), model], options);
    // Most violations are found before the better optimisation would have paid for itself.
    const optimisation = expected === 'holds' ? '-O2' : '-O1';
    const bounds = ['-DSAFETY', '-DCOLLAPSE', '-DMEMLIM=4096'];
    await run('gcc', [optimisation, ...bounds, '-w', '-o', 'pan', 'pan.c'], options);
    const { stdout } = await run('./pan', ['-m20000'], options);
    return judge(stdout, expected);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { states: 0, found: 'could not be explored', surprise: text };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function judge(output: string, expected: Exploration['expected']): Outcome {
  const states = Number(/(\d+) states, stored/.exec(output)?.[1] ?? 0);
  const errors = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN);
  const violation = /assertion violated (.*) \(at depth (\d+)\)/.exec(output);
  if (expected === 'breaks') {
    if (violation !== null) return { states, found: `breaks: ${describe(violation)}`, surprise: undefined };
    return { states, found: 'does not break', surprise: `a violation was expected:\n${output}` };
  }
  // A search that ran out of depth or memory has shown nothing.
  const whole = !/max search depth too small|Search not completed/.test(output);
  if (errors === 0 && whole && states > 0) return { states, found: 'holds', surprise: undefined };
  return { states, found: violation === null ? 'unfinished' : `breaks: ${describe(violation)}`, surprise: output };
}

function describe([, assertion = '', depth = '']: RegExpExecArray): string {
  const what = assertion.includes('>=') ? 'a stale answer' : 'a stale entry is left';
  return `${what}, at depth ${depth}`;
}

async function requirePrograms(): Promise<void> {
  if (await havePrograms()) return;
  if (await canInstallPackages()) await installPackages(['spin', 'gcc', 'libc6-dev']);
  if (await havePrograms()) return;
  throw new Error('the model needs Spin and a C compiler: install them (Debian: apt-get install spin gcc libc6-dev)');
}

async function havePrograms(): Promise<boolean> {
  try {
    await run('spin', ['-V']);
    await run('gcc', ['--version']);
    return true;
  } catch {
    return false;
  }
}

function secondsSince(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}

await main();
