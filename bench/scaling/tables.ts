import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isEndless } from './figures.ts';
import { failovers, type Herd, playFailover, population } from './failover.ts';
import { type Costs, costsOf, parameterNames, readParameters } from './parameters.ts';
import type { Plan } from './plan.ts';
import { mostTried as most, shapes, sizes } from './shapes.ts';

/** What `npm run bench:scaling` found last, as it is committed. */
export function readPlan(): Plan {
  const plan: Plan = JSON.parse(readFileSync(join(import.meta.dirname, 'results.json'), 'utf8'));
  return plan;
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

function parameterTable(): Table {
  const parameters = readParameters();
  const rows = parameterNames.map((name) => {
    const { value, meaning, from } = parameters[name];
    return [meaning, number(value), from];
  });
  return { head: ['what', 'us', 'out of'], rows };
}

export function shapeTable(): Table {
  const rows = shapes.map(({ name, reads, writes, keys, exponent, sockets, events, regions }) => [
    name,
    number(reads),
    number(writes),
    `${number(keys)}${keys === 1 ? '' : exponent === 0 ? ', all as often' : ', by Zipf'}`,
    sockets === 0 ? '' : `${number(sockets)}, ${events} events a second in all`,
    regions.join(', '),
  ]);
  return {
    head: ['shape', 'reads/s', 'writes/s', 'keys', 'live clients', 'round trip to Redis and primary, ms'],
    rows,
  };
}

export function sizeTable({ sizes: rows }: Plan): Table {
  return {
    head: [
      'shape',
      'instances',
      'questions/s to Redis',
      'in one text',
      'Redis, of a processor',
      'hit p50 / p99, ms',
      'loads/s of the primary',
      'primary',
      'event p99, ms',
      'write p50, ms',
    ],
    rows: rows.map(({ shape, count, figures }) => {
      // It would be later and later: what was done meanwhile is no figure.
      const isOver = isEndless(figures);
      const unless = (text: string): string => (isOver ? 'no end' : text);
      return [
        shape,
        number(count),
        isOver ? '' : number(figures.validations),
        isOver ? '' : number(figures.together),
        number(figures.busiestMaster),
        unless(`${number(figures.readP50)} / ${number(figures.readP99)}`),
        isOver ? '' : number(figures.loads),
        percent(figures.database),
        isOver ? '' : figures.eventP99 === 0 ? '' : number(figures.eventP99),
        isOver ? '' : figures.writeP50 === 0 ? '' : number(figures.writeP50),
      ];
    }),
  };
}

export function wallTable({ walls }: Plan): Table {
  return {
    head: ['shape', 'with', 'four fifths of a processor are used from', 'answers miss their deadline from'],
    rows: walls.map(({ shape, lever, isBuilt, full, late }) => [
      lever === '' ? `**${shape}**` : '',
      lever === '' ? 'as it is' : isBuilt ? lever : `*${lever}*`,
      full === undefined ? `more than ${number(most)}` : `${number(full.count)} (${full.what})`,
      late === undefined ? `more than ${number(most)}` : number(late),
    ]),
  };
}

/** What an installation needs whatever is asked of it. */
export function sizingTable(costs: Costs): Table {
  return {
    head: [
      'instances',
      'connections to one Redis',
      'to each master of six',
      'connections to the primary, at most',
      'primary, for instances that do nothing, processors',
      'with a change feed',
      'Redis, for the same, of a processor',
      'Redis, for one event, ms',
    ],
    rows: sizes.map((count) => [
      number(count),
      number(count * 4),
      // Two for commands and values; two that listen, each on any of the nodes.
      number(Math.ceil(count * (2 + 2 / 6))),
      number(count * (10 + 1)),
      number((count * costs.databaseIdle) / 1e6),
      number((count * (costs.databaseIdle + costs.databaseElection)) / 1e6),
      number((count * costs.redisIdle) / 1e6),
      number((count * (costs.redisNotice + costs.redisEventRead)) / 1e3),
    ]),
  };
}

export function herds(costs: Costs): readonly Herd[] {
  return failovers.flatMap((failover) => sizes.map((count) => playFailover(failover, { ...population, count }, costs)));
}

export function failoverTable(costs: Costs): Table {
  return {
    head: [
      'what fails',
      'instances',
      'asked of the primary in the gap, of what it can do',
      'reads answered 503',
      'loads afterwards',
      'most in a second',
      'until 99 % hits, s',
    ],
    rows: herds(costs).map((herd) => [
      herd.failover,
      number(herd.count),
      herd.demand === 0 ? 'nothing' : percent(herd.demand),
      percent(herd.refused),
      number(herd.loads),
      number(herd.loadsPerSecond),
      number(herd.warmSeconds),
    ]),
  };
}

/** The tables of docs/scaling.md by the names of their sections. */
export function renderTable(name: TableName): Table {
  return tables[name](readPlan(), costsOf(readParameters()));
}

const tables = {
  'scaling-shapes': () => shapeTable(),
  'scaling-sizes': (plan: Plan) => sizeTable(plan),
  'scaling-walls': (plan: Plan) => wallTable(plan),
  'scaling-sizing': (_: Plan, costs: Costs) => sizingTable(costs),
  'scaling-failover': (_: Plan, costs: Costs) => failoverTable(costs),
  'scaling-parameters': () => parameterTable(),
};
export type TableName = keyof typeof tables;

function number(value: number): string {
  if (value === 0) return '0';
  const short = Number(value.toPrecision(value >= 1_000 ? 3 : 2));
  return short.toLocaleString('en', { maximumFractionDigits: 4 });
}

function percent(share: number): string {
  return `${number(share * 100)} %`;
}
