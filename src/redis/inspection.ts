import type { Key } from '../cache/key.ts';
import { clockOf, type Deadline, expiresIn, fencesIn, fieldsOf, partsIn } from './guard-fields.ts';
import type { Command, Reply } from './link.ts';
import type { Lookout, Sight } from './lookout.ts';
import type { Place } from './place.ts';
import { asArray, asNumber, asText } from './replies.ts';
import { scanNames } from './scan.ts';
import { metaIn } from './seal.ts';

/** What Redis holds under a key, as it stands there: whether it can be trusted is for others to say. */
export interface Inspection {
  /** `null` when there is none. */
  readonly version: string | null;
  readonly meta: string;
  readonly loadMs: number;
  /** Of the bytes; `null` when there are none. */
  readonly bytes: number | null;
  /** What the value and its guard take in Redis; `null` where Redis does not tell. */
  readonly memoryBytes: number | null;
  /** The first bytes of the value. */
  readonly head: string;
  /** Milliseconds until the value, or a version without bytes, expires; `null` when there is neither. */
  readonly ttlMs: number | null;
  /** Why what stands under the key cannot be read as a value. */
  readonly foreign: string | undefined;
  readonly lease: Deadline | undefined;
  /** How many instances wait for the lease. */
  readonly waiters: number;
  readonly fences: readonly Deadline[];
  readonly table: { readonly isThere: boolean; readonly run: string; readonly opensInMs: number };
  /** The parts that the guard knows a version of. */
  readonly parts: readonly string[];
  /** The run of the server. */
  readonly runId: string;
}

/** Rejects with `StoreUnavailable` when the server that has the key cannot be asked. */
export async function inspectKey(lookout: Lookout, key: Key): Promise<Inspection> {
  const place = lookout.placeOf(key);
  const sight = await lookout.seeKey(key);
  const [time, guard, table] = await sight.askAll([
    ['TIME'],
    ['HGETALL', place.guard],
    ['HMGET', place.fences, 'run', 'opens_at', place.guard],
  ]);
  const now = clockOf(time);
  const fields = fieldsOf(guard);
  const own = (name: string): string | undefined => fields.get(`${name}${place.suffix}`);
  const [run, opensAt, fences] = asArray(table).map((each) => (each === null ? '' : asText(each)));
  const value = await inspectValue(sight, place);
  const lease = own('lease');
  return {
    version: own('version') ?? null,
    meta: metaIn(own('meta') ?? ''),
    loadMs: Number(own('load_ms') ?? 0),
    ...value,
    ttlMs: value.ttlMs ?? expiresIn(own('expires'), now),
    lease: lease === undefined ? undefined : { token: lease, remainingMs: Number(own('lease_deadline') ?? 0) - now },
    waiters: (fields.get('waiters') ?? '').split(' ').filter((each) => each !== '').length,
    fences: fencesIn(fences ?? '', now),
    table: { isThere: run !== '', run: run ?? '', opensInMs: Math.max(0, Number(opensAt) - now) },
    parts: partsIn(fields),
    runId: sight.runId,
  };
}

/** Which of these keys have a version and bytes, and how many those are; keys of one server go together. */
export async function sizesOf(lookout: Lookout, keys: readonly Key[]): Promise<{ there: number; bytes: number }> {
  const sum = { there: 0, bytes: 0 };
  for (let from = 0; from < keys.length; from += keysAtOnce) {
    const some = keys.slice(from, from + keysAtOnce);
    const sights = await Promise.all(some.map((key) => lookout.seeKey(key)));
    const groups = Map.groupBy(some, (_, index) => sights[index]);
    for (const [sight, own] of groups) {
      const places = own.map(lookout.placeOf);
      const replies = (await sight?.askAll(places.flatMap(sizeCommands))) ?? [];
      for (let at = 0; at < replies.length; at += 2) {
        const bytes = asNumber(replies[at + 1]);
        if (replies[at] === null || bytes === 0) continue;
        sum.there += 1;
        sum.bytes += bytes;
      }
    }
  }
  return sum;
}

/** How many names that begin with `prefix` have a guard, on all masters: those that an invalidation of all would take. */
export async function countNames(lookout: Lookout, prefix: string): Promise<number> {
  let count = 0;
  const scanned = { prefix: lookout.prefix, pattern: `${prefix}*` };
  for (const name of await lookout.names()) {
    const sight = await lookout.see(name);
    let cursor = '0';
    do {
      const found = await scanNames((commands) => sight.askAll(commands), cursor, scanned);
      ({ cursor } = found);
      count += found.names.length;
    } while (cursor !== '0');
  }
  return count;
}

const keysAtOnce = 500;
const headBytes = 80;

function sizeCommands({ guard, suffix, value }: Place): readonly Command[] {
  return [
    ['HGET', guard, `version${suffix}`],
    ['STRLEN', value],
  ];
}

type Value = Pick<Inspection, 'bytes' | 'memoryBytes' | 'head' | 'foreign' | 'ttlMs'>;

/** Something else may stand under the key: then Redis says so. */
async function inspectValue(sight: Sight, { value, guard }: Place): Promise<Value> {
  const ask = (...command: Command): Promise<Reply> => sight.ask(command);
  const type = asText(await ask('TYPE', value));
  if (type === 'none') return { bytes: null, memoryBytes: null, head: '', foreign: undefined, ttlMs: null };
  const ttl = asNumber(await ask('PTTL', value));
  const ttlMs = ttl > 0 ? ttl : null;
  if (type !== 'string') return { bytes: null, memoryBytes: null, head: '', foreign: `a ${type}`, ttlMs };
  const [length, head] = await sight.askAll([
    ['STRLEN', value],
    ['GETRANGE', value, 0, headBytes - 1],
  ]);
  // Not every user may ask, and not every Redis tells.
  const usage = await Promise.all([value, guard].map((key) => ask('MEMORY', 'USAGE', key).catch(() => null)));
  const memoryBytes = usage.every((each) => typeof each === 'number')
    ? usage.reduce((sum, each) => sum + each, 0)
    : null;
  return { bytes: asNumber(length), memoryBytes, head: asText(head), foreign: undefined, ttlMs };
}
