/** What is asked of the instances, and what they lean on. */
export interface Shape {
  readonly name: string;
  /** Per second and instance. */
  readonly reads: number;
  readonly writes: number;
  readonly keys: number;
  /** Of Zipf's law: 0 asks for all keys as often. */
  readonly exponent: number;
  /** Live connections of an instance; each hears every event. */
  readonly sockets: number;
  /** Events that are no writes, per second in all. */
  readonly events: number;
  /** Round trips to the region of Redis and the primary, in milliseconds; the instances are spread evenly. */
  readonly regions: readonly number[];
}

/** What can be changed about a deployment. Those marked are not built: they are there to see what they would move. */
export interface Levers {
  readonly masters: number;
  readonly databaseProcessors: number;
  readonly redisTimeoutMs: number;
  /** Not built: who holds a value may serve it for so long without asking. Gives up linearizable reads. */
  readonly maxStalenessMs: number;
  /** A constant of `src/cache/departures.ts`: how long questions wait for those that are in the air. */
  readonly longestWaitMs: number;
  /** Not built: only instances with live clients follow the event log. */
  readonly followers: number;
  /** Not built: a notice of the event log holds the event, so that nobody reads the log for it. */
  readonly noticesCarryEvents: boolean;
}

export const usual: Levers = {
  masters: 1,
  databaseProcessors: 16,
  redisTimeoutMs: 50,
  maxStalenessMs: 0,
  longestWaitMs: 1,
  followers: 1,
  noticesCarryEvents: false,
};

/** Within a region; measured nowhere, as are those between regions. */
const near = 0.3;

const plain: Omit<Shape, 'name'> = {
  reads: 1_000,
  writes: 0.05,
  keys: 10_000,
  exponent: 0,
  sockets: 0,
  events: 0,
  regions: [near],
};

export const shapes: readonly Shape[] = [
  { ...plain, name: 'one hot key', keys: 1, writes: 0 },
  { ...plain, name: 'uniform' },
  { ...plain, name: 'write heavy', reads: 500, writes: 2, exponent: 1 },
  { ...plain, name: 'many sockets', reads: 50, writes: 0, sockets: 5_000, events: 4 },
  { ...plain, name: 'several regions', reads: 500, exponent: 1, regions: [near, 35, 90] },
];

export interface Lever {
  readonly name: string;
  readonly isBuilt: boolean;
  readonly change: Partial<Levers>;
}

const cluster = (masters: number): Lever => ({
  name: `cluster of ${masters} masters`,
  isBuilt: true,
  change: { masters },
});
const staleness = (maxStalenessMs: number): Lever => ({
  name: `answers up to ${maxStalenessMs / 1_000} s old`,
  isBuilt: false,
  change: { maxStalenessMs },
});
const longerWait: Lever = { name: 'questions gather for 10 ms', isBuilt: false, change: { longestWaitMs: 10 } };
const fewFollowers: Lever = {
  name: 'one instance in ten follows the event log',
  isBuilt: false,
  change: { followers: 0.1 },
};
const fullNotices: Lever = { name: 'notices carry the event', isBuilt: false, change: { noticesCarryEvents: true } };

/** What is tried for each shape. */
export const levers: Readonly<Record<string, readonly Lever[]>> = {
  'one hot key': [cluster(6), staleness(100)],
  uniform: [cluster(6), cluster(16), longerWait, staleness(1_000), staleness(30_000)],
  'write heavy': [cluster(6), fewFollowers, fullNotices, staleness(1_000)],
  'many sockets': [cluster(6), fullNotices],
  'several regions': [
    { name: 'the default deadline of Redis, 50 ms', isBuilt: true, change: { redisTimeoutMs: 50 } },
    cluster(6),
    longerWait,
    staleness(1_000),
  ],
};

/** What a shape needs to work at all. */
export function leversOf({ regions }: Shape): Levers {
  // The default deadline is shorter than the longest of these round trips.
  return Math.max(...regions) < 10 ? usual : { ...usual, redisTimeoutMs: 500 };
}

export const sizes: readonly number[] = [10, 50, 200, 500, 1_000, 2_000];
/** The most instances that are tried in looking for a wall. */
export const mostTried = 4_000;
