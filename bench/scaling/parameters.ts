import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a figure of one instance is, and where it comes from. */
export interface Parameter {
  readonly value: number;
  readonly meaning: string;
  /** How it comes out of what `npm run bench` writes; where that has it, `--measured` takes it from there. */
  readonly from: string;
}

export type Parameters = Readonly<Record<ParameterName, Parameter>>;
/** All costs in microseconds of one processor. */
export type Costs = Readonly<Record<ParameterName, number>>;

export const parameterNames = [
  'redisText',
  'redisQuestion',
  'redisRead',
  'redisMiss',
  'redisWrite',
  'redisNotice',
  'redisAppend',
  'redisEventRead',
  'redisIdle',
  'databaseSelect',
  'databaseWrite',
  'databaseIdle',
  'databaseElection',
  'instanceHit',
  'instanceMiss',
  'instanceWrite',
  'instanceSocketEvent',
] as const;
type ParameterName = (typeof parameterNames)[number];

/** As they were measured last, in `parameters.json`. */
export function readParameters(file = join(import.meta.dirname, 'parameters.json')): Parameters {
  const parameters: Parameters = JSON.parse(readFileSync(file, 'utf8'));
  const wrong = parameterNames.filter((name) => !(parameters[name]?.value > 0));
  if (wrong.length > 0) throw new Error(`${file} must have a value above 0 of ${wrong.join(', ')}`);
  return parameters;
}

export function costsOf(parameters: Parameters): Costs {
  return mapNames((name) => parameters[name].value);
}

/** Takes the figures that `output` has, as `npm run bench` writes it; the others stay. */
export function withMeasured(parameters: Parameters, output: BenchOutput): Parameters {
  const found = takeFrom(output);
  return mapNames((name) => {
    const value = found[name];
    const known = parameters[name];
    return value === undefined || !Number.isFinite(value) ? known : { ...known, value: Number(value.toPrecision(3)) };
  });
}

function mapNames<T>(of: (name: ParameterName) => T): Readonly<Record<ParameterName, T>> {
  // Object.fromEntries forgets which names there are.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(parameterNames.map((name) => [name, of(name)])) as Record<ParameterName, T>;
}

/** What is needed of `bench/output/results.json`. */
export interface BenchOutput {
  readonly results: readonly {
    readonly path: string;
    readonly rows: readonly {
      readonly candidate: string;
      readonly figures: Readonly<Record<string, { readonly median: number }>>;
    }[];
  }[];
}

function takeFrom({ results }: BenchOutput): Partial<Record<ParameterName, number>> {
  const figure = (path: string, candidate: string, name: string): number =>
    results.find((each) => each.path === path)?.rows.find((row) => row.candidate === candidate)?.figures[name]
      ?.median ?? Number.NaN;
  const service = (path: string, name: string): number => figure(path, 'energex', name);
  /** Of one more of them, out of two rows. */
  const each = (path: string, name: string, [few, many]: readonly [string, string]): number =>
    (figure(path, many, name) - figure(path, few, name)) / (Number.parseInt(many, 10) - Number.parseInt(few, 10));
  const instances = ['1 instance', '9 instances'] as const;
  // With k together a question costs text / k + question.
  const alone = (together: number): number => figure('questions', `${together} together`, 'redisCpu');
  const text = ((alone(1) - alone(16)) * 16) / 15;
  const notice = each('notices', 'redisCpu', ['1 listener', '101 listeners']);
  const idleDatabase = each('idle', 'databaseCpu', instances);
  return {
    redisText: text,
    redisQuestion: service('uniform', 'redisCpu') - text / service('uniform', 'together'),
    redisRead: service('redis-small', 'redisCpu'),
    redisMiss: service('miss', 'redisCpu'),
    redisWrite: service('write', 'redisCpu'),
    redisNotice: notice,
    redisAppend: figure('events', '1 instance', 'redisCpu') - each('events', 'redisCpu', instances),
    redisEventRead: each('events', 'redisCpu', instances) - notice,
    redisIdle: each('idle', 'redisCpu', instances),
    databaseSelect: figure('miss', 'driver', 'databaseCpu'),
    databaseWrite: service('write', 'databaseCpu'),
    databaseIdle: idleDatabase,
    databaseElection: each('idle-feed', 'databaseCpu', instances) - idleDatabase,
    instanceHit: service('uniform', 'cpu'),
    instanceMiss: service('miss', 'cpu'),
    instanceWrite: service('write', 'cpu'),
  };
}
