import type { Cache } from '../cache/cache.ts';
import type { Inspection, Looked } from '../cache/inspection.ts';
import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import { isAbsent } from '../cache/negative.ts';
import type { DashboardOperations } from '../http/dashboard/routes.ts';
import { examine, type ReadinessChecks } from '../http/probes.ts';
import type { EventLog } from '../realtime/event-log.ts';
import { invalidationFor, type KeyMeaning, meaningOfKey, wholeTtl } from '../resources/key-meaning.ts';
import { readMeta } from '../resources/meta.ts';
import type { Resource } from '../resources/resource.ts';

/** What the dashboard shows and does, out of the parts of a running instance. */
export interface OperatedParts extends Pick<DashboardOperations, 'metrics' | 'stats'> {
  readonly checks: ReadinessChecks;
  readonly cache: Cache;
  readonly events: Pick<EventLog, 'renew' | 'tail' | 'readAfter'>;
  readonly inspection: Inspection;
  readonly resources: readonly Resource[];
}

const mostKeys = 200;
const mostEvents = 500;

export function openOperations(parts: OperatedParts): DashboardOperations {
  const { cache, inspection, resources, checks, events, metrics, stats } = parts;
  return {
    metrics,
    stats,
    readiness: async () => {
      const results = await examine(checks);
      return { isReady: results.every(({ verdict }) => verdict !== 'failed'), checks: results };
    },
    usage: async () => {
      const { bytes, limitBytes, size, evictions } = cache.memory;
      return { memory: { bytes, limitBytes, keys: size, evictions }, store: await inspection.usage() };
    },
    keys: async (match) => {
      const { names, hasMore } = await inspection.find(match, mostKeys);
      const describe = async (name: KeyName): Promise<object> =>
        summaryOf(name, meaningOfKey(name, resources), await inspection.look(name));
      return { keys: await Promise.all(names.map(describe)), hasMore };
    },
    key: async (key) => {
      const looked = await inspection.look(key);
      const meaning = meaningOfKey(key, resources);
      return { ...summaryOf(key, meaning, looked), ...detailOf(looked, meaning) };
    },
    events: async (behind) => {
      const from = behind ?? (await events.tail());
      const found = await events.readAfter(from, mostEvents);
      if (found === null) return { ...(await events.tail()), events: null };
      const { epoch, offset } = found.at(-1) ?? from;
      return { epoch, offset, events: found };
    },
    invalidate: async (what, tellsClients) => {
      const ofOthers = { prefixes: [], names: [splitKey(what).name] };
      const { prefixes, names } = invalidationFor(what, resources) ?? ofOthers;
      for (const prefix of prefixes) await cache.invalidateAll(prefix);
      if (names.length > 0) await cache.invalidate(names);
      if (tellsClients) await events.renew();
      return { invalidated: names, prefixes };
    },
  };
}

function summaryOf(key: Key, meaning: KeyMeaning | undefined, looked: Looked | null): object {
  const kind = meaning?.kind === 'row' ? meaning.resource.item : (meaning?.kind ?? 'other');
  const current = looked?.isCurrent ?? false;
  return { key, kind, ttlMs: looked?.ttlMs, bytes: looked?.bytes, current, state: stateOf(looked) };
}

/** As `energex-cache inspect` names it. */
function stateOf(looked: Looked | null): string {
  if (looked?.isCurrent) return looked.isComposed ? 'composed' : 'cached';
  if ((looked?.fences ?? 0) > 0) return 'bypassed';
  return looked === null || looked.leaseMs === null ? 'absent' : 'loading';
}

function detailOf(looked: Looked | null, meaning: KeyMeaning | undefined): object {
  if (looked === null) return { guard: { state: 'nothing is there' } };
  const { version, meta, loadMs, leaseMs, fences, parts, value } = looked;
  return {
    version,
    ageMs: meaning === undefined ? undefined : ageOf(looked, meaning),
    value: value?.toString(),
    guard: {
      ...(version === null ? {} : { 'entity tag': readMeta(meta).etag }),
      ...(loadMs === null ? {} : { 'loaded in': `${loadMs} ms` }),
      ...(looked.isComposed ? { value: 'put together from segments by each instance' } : {}),
      ...(leaseMs === null ? {} : { 'being loaded for at most': `${Math.ceil(leaseMs)} ms` }),
      ...(fences === 0 ? {} : { 'writes that are committing': String(fences) }),
      ...(parts.length === 0 ? {} : { pages: parts.join(', ') }),
    },
  };
}

/** At most: a time to live is shortened by up to a tenth when it begins. */
function ageOf({ ttlMs, value }: Looked, meaning: KeyMeaning): number | undefined {
  if (ttlMs === null) return undefined;
  return Math.max(0, wholeTtl(meaning, value !== null && isAbsent({ value })) - ttlMs);
}
