import { type Figures, isEndless } from './figures.ts';
import type { Costs } from './parameters.ts';
import { Simulation } from './simulation.ts';
import { type Lever, type Levers, levers, leversOf, mostTried as most, type Shape, shapes, sizes } from './shapes.ts';

/** All that is simulated: each shape at each size, and where its walls are with each lever. */
export interface Plan {
  readonly seed: number;
  readonly sizes: readonly SizeRow[];
  readonly walls: readonly WallRow[];
}

export interface SizeRow {
  readonly shape: string;
  readonly count: number;
  readonly figures: Figures;
}

export interface WallRow {
  readonly shape: string;
  /** `''` as it is. */
  readonly lever: string;
  readonly isBuilt: boolean;
  /** The fewest instances that are too many for something, and for what; `undefined` when these are more than `most`. */
  readonly full: { readonly count: number; readonly what: Resource } | undefined;
  /** The fewest with which more than a hundredth of the questions miss their deadline, or wait ever longer. */
  readonly late: number | undefined;
}

export type Resource = 'Redis' | 'primary' | 'instance';

/** Above it queues grow fast: at four fifths, one waits for twice as long as the work takes (M/D/1). */
const fullAt = 0.8;
const lateAt = 0.01;
const least = 5;
/** Counts that are tried for walls lie so far apart. */
const ratio = 1.12;

export function makePlan(costs: Costs, seed: number, progress: (done: string) => void = () => undefined): Plan {
  const rows = shapes.flatMap((shape) =>
    sizes.map((count) => {
      progress(`${shape.name}, ${count} instances`);
      return simulateSize(shape, count, costs, seed);
    }),
  );
  const walls = shapes.flatMap((shape) =>
    [undefined, ...(levers[shape.name] ?? [])].map((lever) => {
      progress(`${shape.name}, ${lever?.name ?? 'as it is'}`);
      return findWall(shape, lever, costs, seed);
    }),
  );
  return { seed, sizes: rows, walls };
}

export function simulateSize(shape: Shape, count: number, costs: Costs, seed: number): SizeRow {
  return {
    shape: shape.name,
    count,
    figures: rounded(simulate({ shape, levers: leversOf(shape), count }, costs, seed)),
  };
}

export function findWall(shape: Shape, lever: Lever | undefined, costs: Costs, seed: number): WallRow {
  const known = new Map<number, Figures>();
  const at = (step: number): Figures => {
    const found =
      known.get(step) ??
      simulate({ shape, levers: { ...leversOf(shape), ...lever?.change }, count: countAt(step) }, costs, seed);
    known.set(step, found);
    return found;
  };
  const full = firstWhere((step) => busiestOf(at(step)) !== undefined);
  // What grows for ever is late in the end, however short the time that is played.
  const late = firstWhere((step) => at(step).late > lateAt || isEndless(at(step)));
  const what = full === undefined ? undefined : busiestOf(at(full));
  return {
    shape: shape.name,
    lever: lever?.name ?? '',
    isBuilt: lever?.isBuilt ?? true,
    full: full === undefined || what === undefined ? undefined : { count: countAt(full), what },
    late: late === undefined ? undefined : countAt(late),
  };
}

function countAt(step: number): number {
  return Math.round(least * ratio ** step);
}

/** By halves; what is too much for some instances is so for more. */
function firstWhere(isOver: (step: number) => boolean): number | undefined {
  const last = Math.ceil(Math.log(most / least) / Math.log(ratio));
  let [low, high] = [0, last];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isOver(middle)) high = middle;
    else low = middle + 1;
  }
  return low < last || isOver(last) ? low : undefined;
}

function busiestOf({ busiestMaster, database, instance }: Figures): Resource | undefined {
  const busy: [Resource, number][] = [
    ['Redis', busiestMaster],
    ['primary', database],
    ['instance', instance],
  ];
  const [first] = busy.filter(([, share]) => share >= fullAt).toSorted(([, one], [, other]) => other - one);
  return first?.[0];
}

interface Deployment {
  readonly shape: Shape;
  readonly levers: Levers;
  readonly count: number;
}

/** As long as it takes for enough requests, and for some round trips of the farthest region. */
function simulate(deployment: Deployment, costs: Costs, seed: number): Figures {
  const { shape, count } = deployment;
  const longestTripSeconds = Math.max(...shape.regions) / 1_000;
  const seconds = Math.min(2, Math.max(enoughRequests / (shape.reads * count), 0.25 + 5 * longestTripSeconds));
  return new Simulation({ ...deployment, costs, seed }).play(seconds);
}

const enoughRequests = 100_000;

/** Three digits: so many are kept and shown. */
function rounded(figures: Figures): Figures {
  const short = Object.entries(figures).map(([name, value]) => [name, Number(Number(value).toPrecision(3))]);
  return { ...figures, ...Object.fromEntries(short) };
}
