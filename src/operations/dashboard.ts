import type { Cache } from '../cache/cache.ts';
import type { Inspection, Looked } from '../cache/inspection.ts';
import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import { isAbsent } from '../cache/negative.ts';
import type { DashboardOperations } from '../http/dashboard/routes.ts';
import { examine, type ReadinessChecks } from '../http/probes.ts';
import { readMeta } from '../resources/meta.ts';
import type { Resource } from '../resources/resource.ts';

/** What the dashboard shows and does, out of the parts of a running instance. */
export interface OperatedParts extends Pick<DashboardOperations, 'metrics'> {
  readonly checks: ReadinessChecks;
  readonly cache: Cache;
  readonly inspection: Inspection;
  readonly resources: readonly Resource[];
}

const mostKeys = 200;

export function openOperations(parts: OperatedParts): DashboardOperations {
  const { cache, inspection, resources, checks, metrics } = parts;
  return {
    metrics,
    readiness: async () => {
      const results = await examine(checks);
      return { isReady: results.every(({ verdict }) => verdict !== 'failed'), checks: results };
    },
    usage: async () => {
      const { bytes, limitBytes, size } = cache.memory;
      return { memory: { bytes, limitBytes, keys: size }, store: await inspection.usage() };
    },
    keys: async (match) => {
      const { names, hasMore } = await inspection.find(match, mostKeys);
      const describe = async (name: KeyName): Promise<object> =>
        summaryOf(name, kindOf(resources, name), await inspection.look(name));
      return { keys: await Promise.all(names.map(describe)), hasMore };
    },
    key: async (key) => {
      const looked = await inspection.look(key);
      const summary = summaryOf(key, kindOf(resources, splitKey(key).name), looked);
      return { ...summary, ...detailOf(looked, resources, key) };
    },
    invalidate: async (key) => {
      const { name } = splitKey(key);
      const names = namesWith(resources, name);
      // The segments first: the list is put together from them.
      for (const { listKey, segmentPrefix } of resources) {
        if (listKey === name) await cache.invalidateAll(segmentPrefix);
      }
      await cache.invalidate(names);
      return { invalidated: names };
    },
  };
}

/** A row that is not right is not right in its list either. */
function namesWith(resources: readonly Resource[], name: KeyName): readonly KeyName[] {
  for (const resource of resources) {
    const id = rowOf(resource, name);
    if (id !== undefined) return resource.keysAffectedBy(id);
  }
  return [name];
}

function rowOf(resource: Resource, name: KeyName): string | undefined {
  const prefix = resource.itemKey('');
  const id = name.slice(prefix.length);
  return name.startsWith(prefix) && /^[1-9]\d{0,19}$/.test(id) ? id : undefined;
}

function kindOf(resources: readonly Resource[], name: KeyName): string {
  for (const resource of resources) {
    if (name === resource.listKey) return 'list';
    if (name.startsWith(resource.segmentPrefix)) return 'segment';
    if (rowOf(resource, name) !== undefined) return resource.item;
  }
  return 'other';
}

function summaryOf(key: Key, kind: string, looked: Looked | null): object {
  return { key, kind, ttlMs: looked?.ttlMs, bytes: looked?.bytes, current: looked?.isCurrent ?? false };
}

function detailOf(looked: Looked | null, resources: readonly Resource[], key: Key): object {
  if (looked === null) return { guard: { state: 'nothing is there' } };
  const { version, meta, loadMs, leaseMs, fences, parts, value } = looked;
  return {
    version,
    ageMs: ageOf(looked, resources, key),
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
function ageOf({ ttlMs, value }: Looked, resources: readonly Resource[], key: Key): number | undefined {
  const { name } = splitKey(key);
  for (const resource of resources) {
    const kind = kindOf([resource], name);
    if (ttlMs === null || kind === 'other') continue;
    const isRow = kind === resource.item;
    const given = isRow && value !== null && isAbsent({ value }) ? resource.ttl.absent : undefined;
    return Math.max(0, (given ?? (isRow ? resource.ttl.item : resource.ttl.list)) - ttlMs);
  }
  return undefined;
}
