import { loadScript } from './script.ts';

/**
 * What a user of Redis (ACL) must be allowed for the service to work with it, and nothing else. `rightsOf` says it as Redis
 * takes it, `checks` asks whether a user may.
 */

/** A command as ACL names it, and how it is sent: `KEY` and `CHANNEL` stand for one of ours. */
interface Needed {
  readonly name: string;
  readonly words: readonly string[];
}

const keyed = (name: string, ...more: string[]): Needed => ({ name, words: [name, 'KEY', ...more] });

/** What the steps and the looks of `src/redis/` send, the scripts in `lua/`, and the client as it connects. */
const everywhere: readonly Needed[] = [
  { name: 'eval', words: ['eval', 'return 1', '1', 'KEY'] },
  { name: 'evalsha', words: ['evalsha', 'x', '1', 'KEY'] },
  keyed('get'),
  keyed('set', 'x'),
  keyed('setrange', '0', 'x'),
  keyed('getrange', '0', '1'),
  keyed('strlen'),
  keyed('type'),
  keyed('del'),
  keyed('pttl'),
  keyed('pexpire', '1'),
  { name: 'rename', words: ['rename', 'KEY', 'KEY'] },
  keyed('hget', 'x'),
  keyed('hmget', 'x'),
  keyed('hset', 'x', 'x'),
  keyed('hdel', 'x'),
  keyed('hlen'),
  keyed('hgetall'),
  keyed('xadd', '*', 'x', 'x'),
  keyed('xlen'),
  keyed('xdel', '1-0'),
  keyed('xrange', '-', '+'),
  keyed('xrevrange', '+', '-'),
  { name: 'memory|usage', words: ['memory', 'usage', 'KEY'] },
  { name: 'publish', words: ['publish', 'CHANNEL', 'x'] },
  { name: 'subscribe', words: ['subscribe', 'CHANNEL'] },
  { name: 'scan', words: ['scan', '0'] },
  { name: 'dbsize', words: ['dbsize'] },
  { name: 'time', words: ['time'] },
  { name: 'info', words: ['info'] },
  { name: 'ping', words: ['ping'] },
  { name: 'client|setname', words: ['client', 'setname', 'x'] },
];

const inClusters: readonly Needed[] = [
  { name: 'cluster|slots', words: ['cluster', 'slots'] },
  { name: 'cluster|info', words: ['cluster', 'info'] },
  { name: 'asking', words: ['asking'] },
];

/** Which keys and channels there are: `names` are the words that names of keys begin with. */
export interface Realm {
  /** What all keys and channels begin with. */
  readonly prefix: string;
  readonly isCluster: boolean;
  readonly names: readonly string[];
}

/** Patterns of the keys. A guard begins with a brace, the value beside it does not. */
function keyPatterns({ prefix, names }: Realm): readonly string[] {
  const stems = prefix === '' ? ['energex', ...names].map((name) => `${name}:`) : [prefix];
  return stems.flatMap((stem) => [`${stem}*`, `{${stem}*`]);
}

function channelPattern({ prefix }: Realm): string {
  return `${prefix}energex:*`;
}

/** What `ACL SETUSER` is told after the name and the password. */
export function rightsOf(realm: Realm): readonly string[] {
  return [
    'resetkeys',
    ...keyPatterns(realm).map((pattern) => `~${pattern}`),
    'resetchannels',
    `&${channelPattern(realm)}`,
    '-@all',
    ...neededIn(realm).map(({ name }) => `+${name}`),
  ];
}

function neededIn({ isCluster }: Realm): readonly Needed[] {
  return isCluster ? [...everywhere, ...inClusters] : everywhere;
}

export const rightsScript = loadScript('rights');

/** Each command on each kind of key, to be asked with `lua/rights.lua`. */
export function checks(realm: Realm): readonly Check[] {
  const keys = keyPatterns(realm);
  return neededIn(realm).flatMap(({ name, words }) => {
    const patterns = words.includes('KEY') ? keys : [undefined];
    return patterns.map((pattern) => {
      const samples: Readonly<Record<string, string>> = {
        KEY: sampleOf(pattern ?? ''),
        CHANNEL: sampleOf(channelPattern(realm)),
      };
      return { name, pattern, words: words.map((word) => samples[word] ?? word) };
    });
  });
}

export interface Check {
  readonly name: string;
  /** Of the key; `undefined` for a command that has none. */
  readonly pattern: string | undefined;
  readonly words: readonly string[];
}

function sampleOf(pattern: string): string {
  return `${pattern.slice(0, -1)}x`;
}

/**
 * What is missing, as `ACL SETUSER` would be told to grant it. A command counts when it is refused on every key, a kind of
 * keys when every other command is refused there.
 */
export function missingRights(asked: readonly Check[], answers: string): readonly string[] {
  const refused = new Set(asked.filter((_, index) => answers[index] === 'n'));
  const isRefused = (kind: readonly Check[]): boolean => kind.every((each) => refused.has(each));
  const commands = [...Map.groupBy(asked, ({ name }) => name)]
    .filter(([, all]) => isRefused(all))
    .map(([name]) => name);
  const others = asked.filter(({ name, pattern }) => pattern !== undefined && !commands.includes(name));
  const patterns = [...Map.groupBy(others, ({ pattern }) => pattern ?? '')].filter(([, all]) => isRefused(all));
  return [...patterns.map(([pattern]) => `~${pattern}`), ...commands.map((name) => `+${name}`)];
}
