import { findOtherRedis, findRedisServer, type RedisKind, redisLabels, type ServerBinary } from './binaries.ts';

/**
 * Which server program `startRedis` and all that stands on it start in this test file: the installed one, until the file
 * says otherwise. Jest loads modules anew for each file, so a choice ends with its file.
 */
let chosen: RedisKind = 'installed';

export function chooseRedis(kind: RedisKind): void {
  chosen = kind;
}

export function chosenRedis(): RedisKind {
  return chosen;
}

type RedisBinary = ServerBinary & { readonly label: string };

export async function redisUnderTest(): Promise<RedisBinary> {
  const kind = chosen;
  const found = kind === 'installed' ? await findRedisServer() : await findOtherRedis(kind);
  if ('unavailable' in found) throw new Error(`${redisLabels[kind]}: ${found.unavailable}`);
  return { ...found, label: redisLabels[kind] };
}

/** A Redis that is more than one server, on which `backends` stand in a test file that has chosen it. */
export type Topology = {
  readonly name: string;
  /** The settings that lead there. */
  readonly environment: Readonly<Record<string, string>>;
  flush(): Promise<void>;
};

let topology: Topology | undefined;

/** Before the modules of the tests are loaded. */
export function chooseTopology(wanted: Topology): void {
  topology = wanted;
}

export function chosenTopology(): Topology | undefined {
  return topology;
}
