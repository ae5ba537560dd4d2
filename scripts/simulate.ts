import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { findMutation, mutations } from '../test/simulation/mutations.ts';
import { simulate } from '../test/simulation/simulation.ts';
import { addCounts, type Batch, type Played, playBatch } from '../test/simulation/batch.ts';

/**
 * `npm run simulate`: plays many seeds of `test/simulation/`, or one with its log. See the README there.
 */
const usage = `npm run simulate -- [--seeds 1000] [--from 1] [--workers 2] [--mutation NAME]
npm run simulate -- --seed N [--mutation NAME]    plays one seed and prints its log
Mutations: ${mutations.map(({ name }) => `"${name}"`).join(', ')}`;

const batchSize = 100;
const mostFailures = 20;
const progressMs = 10_000;

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1000' },
      from: { type: 'string', default: '1' },
      workers: { type: 'string', default: String(availableParallelism()) },
      seed: { type: 'string' },
      mutation: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) console.log(usage);
  else if (values.seed !== undefined) await playOne(whole(values.seed), values.mutation);
  else await playMany(whole(values.from), whole(values.seeds), whole(values.workers), values.mutation);
} else {
  const { mutation } = workerData as { mutation: string | undefined };
  parentPort?.on('message', (batch: Batch) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    void playBatch(batch, findMutation(mutation)).then((played) => parentPort?.postMessage(played));
  });
}

function whole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) {
    console.error(`Not a number of seeds: ${text}\n\n${usage}`);
    process.exit(2);
  }
  return Number(text);
}

async function playOne(seed: number, mutation: string | undefined): Promise<void> {
  try {
    await simulate(seed, { mutation: findMutation(mutation), log: (line) => console.log(line) });
    console.log(`Seed ${seed}: nothing wrong.`);
  } catch (error) {
    console.log(`Seed ${seed}: ${String(error)}`);
    process.exitCode = 1;
  }
}

async function playMany(from: number, seeds: number, workers: number, mutation: string | undefined): Promise<void> {
  findMutation(mutation);
  const began = performance.now();
  const totals = new Map<string, number>();
  let next = from;
  let failures = 0;
  let told = began;
  const take = (played: Played): void => {
    addCounts(totals, played.counts);
    for (const { seed, reason } of played.failures) {
      failures += 1;
      const more = mutation === undefined ? '' : ` --mutation "${mutation}"`;
      console.log(`Seed ${seed}: ${reason}\n  again, with its log: npm run simulate -- --seed ${seed}${more}`);
    }
    if (performance.now() - told < progressMs) return;
    told = performance.now();
    console.log(`${totals.get('seeds') ?? 0} of ${seeds} seeds, ${failures} violations`);
  };
  const nextBatch = (): Batch | undefined => {
    if (next >= from + seeds || failures >= mostFailures) return undefined;
    const batch = { from: next, count: Math.min(batchSize, from + seeds - next) };
    next += batch.count;
    return batch;
  };
  await Promise.all(Array.from({ length: Math.max(1, workers) }, () => runWorker(mutation, nextBatch, take)));
  report(totals, failures, (performance.now() - began) / 1000);
  if (failures > 0) process.exitCode = 1;
}

/** Feeds one worker until there is nothing left. */
function runWorker(
  mutation: string | undefined,
  nextBatch: () => Batch | undefined,
  take: (played: Played) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { mutation } });
    const feed = (): void => {
      const batch = nextBatch();
      if (batch === undefined) void worker.terminate().then(() => resolve());
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
      else worker.postMessage(batch);
    };
    worker.on('message', (played: Played) => {
      take(played);
      feed();
    });
    worker.on('error', reject);
    feed();
  });
}

function report(totals: ReadonlyMap<string, number>, failures: number, seconds: number): void {
  for (const [what, count] of [...totals].sort(([a], [b]) => a.localeCompare(b))) {
    console.log(`${String(count).padStart(12)}  ${what}`);
  }
  const seeds = totals.get('seeds') ?? 0;
  console.log(
    `${seeds} seeds in ${seconds.toFixed(1)} s (${(seeds / seconds).toFixed()} a second), ${failures} violations`,
  );
}
