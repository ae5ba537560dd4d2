import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { nextAfter } from '../../bench/scaling/chance.ts';
import { failovers, playFailover, population } from '../../bench/scaling/failover.ts';
import { type Figures, isEndless } from '../../bench/scaling/figures.ts';
import { costsOf, parameterNames, readParameters, withMeasured } from '../../bench/scaling/parameters.ts';
import { drawPlan } from '../../bench/scaling/picture.ts';
import { findWall, simulateSize } from '../../bench/scaling/plan.ts';
import { Queue } from '../../bench/scaling/queue.ts';
import { levers, shapes, sizes, usual } from '../../bench/scaling/shapes.ts';
import { Simulation } from '../../bench/scaling/simulation.ts';
import { readPlan } from '../../bench/scaling/tables.ts';
import { Timeline } from '../../bench/scaling/timeline.ts';
import { root } from '../../scripts/docs/generated.ts';
import { Random } from '../simulation/random.ts';

const parameters = readParameters();
const costs = costsOf(parameters);
const plan = readPlan();
const [, uniform] = shapes;
if (uniform === undefined) throw new Error('there is no shape to play');
/** Nothing but reads of many keys. */
const reads = { ...uniform, writes: 0, regions: [0.05] };

function play(run: Partial<ConstructorParameters<typeof Simulation>[0]>, seconds = 0.5): Figures {
  return new Simulation({ shape: reads, levers: usual, costs, count: 10, seed: 1, ...run }).play(seconds);
}

describe('what stands in docs/scaling.md is what comes out', () => {
  // The largest take long; they are the same code with more of the same.
  const some = sizes.filter((count) => count <= 200);
  test.each(shapes.flatMap((shape) => some.map((count) => ({ name: shape.name, shape, count }))))(
    '$name, $count instances',
    ({ shape, count }) => {
      const kept = plan.sizes.find((row) => row.shape === shape.name && row.count === count);
      expect(simulateSize(shape, count, costs, plan.seed)).toEqual(kept);
    },
    60_000,
  );

  test('every shape has each size, and a wall with each lever', () => {
    expect(plan.sizes.map(({ shape, count }) => [shape, count])).toEqual(
      shapes.flatMap(({ name }) => sizes.map((count) => [name, count])),
    );
    expect(plan.walls.map(({ shape, lever }) => [shape, lever])).toEqual(
      shapes.flatMap(({ name }) =>
        ['', ...(levers[name] ?? []).map((lever) => lever.name)].map((each) => [name, each]),
      ),
    );
  });

  test('a wall is found where it was', () => {
    const shape = shapes.find(({ name }) => name === 'write heavy') ?? reads;
    const kept = plan.walls.find((row) => row.shape === shape.name && row.lever === '');
    expect(findWall(shape, undefined, costs, plan.seed)).toEqual(kept);
  }, 120_000);

  test('the text around the tables says the same', () => {
    const wall = (shape: string, lever = '') => plan.walls.find((row) => row.shape === shape && row.lever === lever);
    const hit = (count: number): number =>
      Math.round(plan.sizes.find((row) => row.shape === 'one hot key' && row.count === count)?.figures.readP50 ?? 0);
    const short = (value = 0): number => Number(value.toPrecision(2));
    const ofEvent = costs.redisNotice + costs.redisEventRead;
    const text = readFileSync(join(root, 'docs/scaling.md'), 'utf8').replaceAll(/\s+/g, ' ');
    const claims = [
      `which is ${short(wall('uniform')?.full?.count)} instances with 1,000 reads a second each`,
      `Redis is full from ${short(wall('one hot key')?.full?.count)} instances on`,
      `for ${hit(1_000)} ms with 1,000 instances, for ${hit(2_000)} with 2,000, up to the deadline with ${Number((wall('one hot key')?.late ?? 0).toPrecision(3)).toLocaleString('en')}`,
      `Beyond ${short(wall('uniform')?.late)} instances questions wait ever longer`,
      `${Math.round(ofEvent)} us of Redis for each instance and event`,
      `stands at ${wall('write heavy')?.full?.count} instances, and at ${wall('write heavy', 'cluster of 6 masters')?.full?.count} with six masters`,
      `from ${Number((wall('many sockets')?.late ?? 0).toPrecision(3)).toLocaleString('en')} instances on, however few events there are`,
      `takes ${costs.instanceSocketEvent} us for each client`,
      `with 2,000 of them ${short((2_000 * (costs.databaseIdle + costs.databaseElection)) / 1e6)} processors`,
    ];
    expect(claims.filter((claim) => !text.includes(claim))).toEqual([]);
  });

  test('the picture shows it', () => {
    expect(readFileSync(join(root, 'docs/images/scaling.svg'), 'utf8')).toBe(drawPlan(plan));
  });
});

describe('chance', () => {
  test('the same seed plays the same, another seed something else', () => {
    expect(play({ seed: 7 })).toEqual(play({ seed: 7 }));
    expect(play({ seed: 7 })).not.toEqual(play({ seed: 8 }));
  });

  test('what is due happens in its time, and in the order asked for at the same', () => {
    const timeline = new Timeline();
    const random = new Random(3);
    const happened: [number, number][] = [];
    for (let order = 0; order < 1_000; order += 1) {
      const time = random.below(50);
      timeline.at(time, () => happened.push([time, order]));
    }
    timeline.runUntil(49);
    expect(happened).toHaveLength(1_000);
    expect(happened).toEqual(happened.toSorted(([a, x], [b, y]) => a - b || x - y));
  });
});

describe('queues', () => {
  // Pollaczek and Khinchine: with constant service time s and load r a customer waits for s r / (2 (1 - r)).
  test.each([0.3, 0.6, 0.8, 0.9])('one processor at a load of %p waits as M/D/1 does', (load) => {
    const random = new Random(11);
    const queue = new Queue();
    const [service, customers] = [10, 1_000_000];
    let [now, waited] = [0, 0];
    for (let customer = 0; customer < customers; customer += 1) {
      now += nextAfter(random, (load / service) * 1e6);
      waited += queue.serve(now, service) - now - service;
    }
    const expected = (service * load) / (2 * (1 - load));
    expect(waited / customers / expected).toBeGreaterThan(0.95);
    expect(waited / customers / expected).toBeLessThan(1.05);
    expect(queue.work).toBe(service * customers);
  });

  test('as many are served at once as there are processors', () => {
    const queue = new Queue(2);
    expect([0, 0, 0, 5].map((now) => queue.serve(now, 10))).toEqual([10, 10, 20, 20]);
  });
});

describe('one instance', () => {
  test('under as much load as it takes is what docs/performance.md measured', () => {
    const { readsPerSecond, busiestMaster, together } = play({ count: 1, closed: 64 }, 1);
    // Path `uniform` of the run that the costs come from: 43,957 a second, 2.46 us of Redis, 37 questions in a text.
    expect(readsPerSecond / 43_957).toBeGreaterThan(0.85);
    expect(readsPerSecond / 43_957).toBeLessThan(1.15);
    const idle = costs.redisIdle / readsPerSecond;
    expect((busiestMaster * 1e6) / readsPerSecond - idle).toBeCloseTo(2.46, 0);
    expect(together).toBeGreaterThan(37 / 2);
    expect(together).toBeLessThanOrEqual(64);
  });

  test('a hot key has one question in the air, which all share who came before it', () => {
    const figures = play({ shape: { ...reads, keys: 1, reads: 20_000, regions: [1] }, count: 1 });
    // One question takes a round trip of a millisecond; the next goes at once.
    expect(figures.validations).toBeGreaterThan(900);
    expect(figures.validations).toBeLessThan(1_000);
    expect(figures.readsPerSecond).toBeGreaterThan(19_000);
    expect(figures.readP99).toBeLessThan(2.5);
  });
});

describe('many instances', () => {
  test('all that is asked is answered, and the work of Redis is that of the questions', () => {
    const run = { costs: { ...costs, redisIdle: 0, databaseIdle: 0 } };
    const { readsPerSecond, validations, together, busiestMaster, loads } = play(run, 2);
    expect(readsPerSecond / 10_000).toBeCloseTo(1, 1);
    expect(loads).toBe(0);
    const work = validations * (costs.redisQuestion + costs.redisText / together);
    expect(work / 1e6 / busiestMaster).toBeCloseTo(1, 1);
  });

  test.each(shapes.map(({ name }) => name))('more of them are more work for Redis (%s)', (name) => {
    const busy = plan.sizes.filter(({ shape }) => shape === name).map(({ figures }) => figures.busiestMaster);
    // A hot key bounds itself at the whole of a processor.
    const capped = name === 'one hot key' ? busy.map((share) => Math.min(share, 0.95)) : busy;
    expect(capped).toEqual(busy.map((_, at) => Math.max(...capped.slice(0, at + 1))));
    expect(busy[1]).toBeGreaterThan(3 * (busy[0] ?? 1));
  });

  test('one write is one load, on however many instances, and each reads its event', () => {
    const shape = { ...reads, keys: 1, writes: 0.05 };
    const { loads, eventP99 } = play({ shape, count: 40 }, 5);
    // Two writes a second; who reads while the fence stands loads for itself.
    expect(loads).toBeGreaterThan(1);
    expect(loads).toBeLessThan(40 * 2);
    expect(eventP99).toBeGreaterThan((40 * costs.redisNotice) / 1_000);
  });

  test('what is far away answers a round trip later', () => {
    const { readP50 } = play({ shape: { ...reads, reads: 100, regions: [80] } }, 1);
    expect(readP50).toBeGreaterThan(80);
    expect(readP50).toBeLessThan(90);
  });

  test('a deadline that is shorter than the round trip is always missed', () => {
    const shape = { ...reads, reads: 100, regions: [80] };
    expect(play({ shape }, 1).late).toBe(1);
    expect(play({ shape, levers: { ...usual, redisTimeoutMs: 500 } }, 1).late).toBe(0);
  });

  test('a queue that grows has no end; that of one hot key is as long as there are instances', () => {
    const many = { ...reads, reads: 1_000 };
    expect(isEndless(play({ shape: many, count: 100 }, 0.2))).toBe(false);
    expect(isEndless(play({ shape: many, count: 400 }, 0.2))).toBe(true);
    const hot = play({ shape: { ...many, keys: 1 }, count: 400 }, 0.2);
    expect(isEndless(hot)).toBe(false);
    expect(hot.busiestMaster).toBeGreaterThan(0.95);
    // Each of them has a question there.
    const [one, all] = [costs.redisText + costs.redisQuestion, 400];
    expect(hot.readP50).toBeGreaterThan((all * one) / 1_000);
    expect(hot.readP50).toBeLessThan((3 * all * one) / 1_000);
  });

  test('levers move what they are for', () => {
    const busy = (change: Partial<typeof usual>, shape = reads): number =>
      play({ shape, count: 50, levers: { ...usual, ...change } }).busiestMaster;
    const as = busy({});
    expect(busy({ masters: 6 })).toBeLessThan(as / 3);
    expect(busy({ maxStalenessMs: 30_000 })).toBeLessThan(as / 2);
    const hot = { ...reads, keys: 1 };
    expect(busy({ masters: 6 }, hot) / busy({}, hot)).toBeCloseTo(1, 1);
    const writing = { ...reads, writes: 2 };
    expect(busy({ followers: 0.1 }, writing)).toBeLessThan(busy({}, writing));
    expect(busy({ noticesCarryEvents: true }, writing)).toBeLessThan(busy({}, writing));
  });
});

describe('failovers', () => {
  test.each(failovers.map((failover) => [failover.name, failover] as const))(
    'after %s each lost key is loaded once, and no faster than the primary can',
    (_, failover) => {
      const selects = (population.databaseProcessors * 1e6) / costs.databaseSelect;
      for (const count of sizes) {
        const herd = playFailover(failover, { ...population, count }, costs);
        expect(herd.loads).toBeLessThanOrEqual(population.keys * failover.lost);
        expect(herd.loads).toBeGreaterThan(population.keys * (failover.lost - 0.011));
        expect(herd.loadsPerSecond).toBeLessThanOrEqual(selects + 1);
        expect(herd.refused).toBeGreaterThanOrEqual(0);
        expect(herd.refused).toBeLessThanOrEqual(failover.lost);
        // What is not refused is within what the primary can do.
        expect(herd.demand * (1 - herd.refused / failover.lost)).toBeLessThanOrEqual(1.01);
      }
    },
  );
});

describe('costs', () => {
  const row = (candidate: string, figures: Readonly<Record<string, number>>) => ({
    candidate,
    figures: Object.fromEntries(Object.entries(figures).map(([name, median]) => [name, { median }])),
  });

  test('each says what it is and where it comes from', () => {
    expect(Object.keys(parameters)).toEqual([...parameterNames]);
    for (const { value, meaning, from } of Object.values(parameters)) {
      expect(value).toBeGreaterThan(0);
      expect([meaning, from]).not.toContain('');
    }
  });

  test('fresh ones are taken out of what a benchmark wrote; the others stay', () => {
    const measured = withMeasured(parameters, {
      results: [
        { path: 'miss', rows: [row('energex', { redisCpu: 30, cpu: 80 }), row('driver', { databaseCpu: 20 })] },
        {
          path: 'notices',
          rows: [row('1 listener', { redisCpu: 5 }), row('101 listeners', { redisCpu: 305 })],
        },
      ],
    });
    expect(measured.redisMiss.value).toBe(30);
    expect(measured.databaseSelect.value).toBe(20);
    expect(measured.instanceMiss).toEqual({ ...parameters.instanceMiss, value: 80 });
    expect(measured.redisNotice.value).toBe(3);
    expect(measured.redisWrite).toEqual(parameters.redisWrite);
    expect(measured.redisText).toEqual(parameters.redisText);
  });
});
