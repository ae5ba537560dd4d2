import { resources } from '../resources/registry.ts';
import { urlFlag, urlOf } from './instance-url.ts';
import type { Output } from './output.ts';
import { withProgress } from './progress.ts';
import { stopOnSignal } from './stop-signal.ts';
import { type Given, isSet, numberOf, textOf, type Verb } from './verb.ts';
import { type Position, type Stage, stagesOf, type WarmPlan } from './warm-paths.ts';
import { newTally, type Tally, WarmRequests } from './warm-requests.ts';
import { WarmState } from './warm-state.ts';

export const warm: Verb = {
  name: 'warm',
  summary: 'fill the cache ahead of traffic, through a running instance',
  details: [
    'It asks an instance by HTTP, as clients do, so that rows are loaded under leases and once, however many instances there are. Without `--lists`, `--newest` or `--ids` it takes the lists and the newest 1000 rows of each resource.',
    'With `--state` it writes how far it has got after each hundred requests, and goes on from there when it is run again with the same flags; when it is done it removes the file. SIGINT stops it in good order.',
    'It ends with 3 where some of it could not be stored.',
  ],
  flags: [
    urlFlag,
    { name: 'lists', description: 'every list, and its first page' },
    { name: 'newest', value: 'N', description: 'so many of the newest rows of each resource' },
    {
      name: 'ids',
      value: 'FILE',
      description: 'a file of ids, keys or URLs, an access log for instance; what is there most often comes first',
    },
    { name: 'rate', value: 'N', description: 'requests a second at most', standard: '100' },
    { name: 'state', value: 'FILE', description: 'where to write how far it has got, and go on from' },
  ],
  exits: ['found', 'interrupted'],
  run: async (given) => {
    const plan = planOf(given);
    const state = new WarmState(textOf(given, 'state'), plan);
    const from = state.load();
    const tally = newTally();
    const rate = numberOf(given, 'rate', { standard: 100, least: 1, most: 100_000 });
    const url = urlOf(given);
    const requests = new WarmRequests(url, rate, tally);
    const stages = await stagesOf(plan, resources);
    await requests.requireInstance();
    const stop = stopOnSignal();
    try {
      await runStages(stages, from, { requests, state, isStopped: stop.isStopped, output: given.output });
    } finally {
      stop.forget();
    }
    return conclude(
      tally,
      stop.isStopped(),
      { url, state, hasFile: textOf(given, 'state') !== undefined },
      given.output,
    );
  },
};

function planOf(given: Given): WarmPlan {
  const newest = numberOf(given, 'newest', { least: 1, most: 100_000_000 });
  const ids = textOf(given, 'ids');
  const lists = isSet(given, 'lists');
  if (!lists && newest === undefined && ids === undefined) return { lists: true, newest: 1_000, ids: undefined };
  return { lists, newest: newest ?? 0, ids };
}

interface Run {
  readonly requests: WarmRequests;
  readonly state: WarmState;
  readonly isStopped: () => boolean;
  readonly output: Output;
}

async function runStages(stages: readonly Stage[], from: Position | undefined, run: Run): Promise<void> {
  const at = stages.findIndex(({ name }) => name === from?.stage);
  for (const [index, stage] of stages.entries()) {
    if (index < at || run.isStopped()) continue;
    const start = index === at && from !== undefined ? from : { stage: stage.name, done: 0 };
    await withProgress(stage.name, stage.most, (report) => runStage(stage, start, run, report), run.output.progress);
  }
}

async function runStage(
  { batches }: Stage,
  start: Position,
  { requests, state, isStopped }: Run,
  report: (done: number) => void,
): Promise<void> {
  let { done } = start;
  report(done);
  for await (const { paths, next } of batches(start, (path) => requests.readPage(path))) {
    await requests.askAll(paths, isStopped, () => {
      done += 1;
      report(done);
    });
    if (isStopped()) return;
    state.save(next);
  }
}

function conclude(
  tally: Tally,
  isStopped: boolean,
  { url, state, hasFile }: { url: string; state: WarmState; hasFile: boolean },
  output: Output,
): 'done' | 'found' | 'interrupted' {
  const { filled, present, absent, failed, firstFailure } = tally;
  if (!isStopped) state.clear();
  const goOn = hasFile ? 'run it again to go on' : 'with --state it could go on from here';
  output.show({ url, ...tally, interrupted: isStopped }, [
    `${filled} filled, ${present} there already, ${absent} without a row, ${failed} failed`,
    ...(firstFailure === undefined ? [] : [`the first failure: ${firstFailure}`]),
    ...(isStopped ? [`stopped: ${goOn}`] : []),
  ]);
  if (isStopped) return 'interrupted';
  return failed > 0 ? 'found' : 'done';
}
