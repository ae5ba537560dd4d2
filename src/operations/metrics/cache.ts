import { type BypassReason, type CacheEvent, cacheChannel, type InvalidationSource } from '../../cache/channels.ts';
import type { Resource } from '../../resources/resource.ts';
import type { Tallies, Tally } from './tallies.ts';

/** What the engine tells of, counted. Returns how to stop counting. */
export function countCache(tallies: Tallies, resources: readonly Resource[]): () => void {
  const requests = countRequests(tallies, resources);
  const others = countOthers(tallies);
  const count = (message: unknown): void => {
    // The channel carries what `publish` of `cache/channels.ts` takes, and nothing else.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    const event = message as CacheEvent;
    if (!requests(event)) others(event);
  };
  cacheChannel.subscribe(count);
  return () => {
    cacheChannel.unsubscribe(count);
  };
}

/** How the reads of one resource were answered. */
interface Answers {
  readonly memory: Tally;
  readonly memoryNegative: Tally;
  readonly store: Tally;
  readonly storeNegative: Tally;
  readonly miss: Tally;
  readonly bypass: Tally;
  readonly collapsed: Tally;
}

/** Takes an event of a read. One of these comes with each hit, so nothing is looked up but the resource of the key. */
function countRequests(tallies: Tallies, resources: readonly Resource[]): (event: CacheEvent) => boolean {
  const requests = tallies.numbers('energex_cache_requests_total');
  const bypasses = tallies.numbers('energex_cache_bypasses_total');
  const collapsed = tallies.numbers('energex_cache_collapsed_requests_total').at();
  for (const reason of bypassReasons) bypasses.at(reason);
  const answersOf = answersByKey(resources, (resource) => ({
    memory: requests.at(resource, 'memory', 'hit'),
    memoryNegative: requests.at(resource, 'memory', 'negative_hit'),
    store: requests.at(resource, 'store', 'hit'),
    storeNegative: requests.at(resource, 'store', 'negative_hit'),
    miss: requests.at(resource, 'database', 'miss'),
    bypass: requests.at(resource, 'database', 'bypass'),
    collapsed: requests.at(resource, 'neighbour', 'collapsed'),
  }));
  return (event) => {
    if (event.type === 'hit') {
      const answers = answersOf(event.key);
      if (event.tier === 'memory') (event.negative ? answers.memoryNegative : answers.memory).value += event.requests;
      else (event.negative ? answers.storeNegative : answers.store).value += event.requests;
    } else if (event.type === 'miss') {
      answersOf(event.key).miss.value += 1;
    } else if (event.type === 'bypass') {
      answersOf(event.key).bypass.value += 1;
      bypasses.at(event.reason).value += 1;
    } else if (event.type === 'collapsed') {
      answersOf(event.key).collapsed.value += 1;
      collapsed.value += 1;
    } else {
      return false;
    }
    return true;
  };
}

/** Keys begin with the name of their resource, or that of one of its rows. Segments of a list are counted apart. */
function answersByKey(resources: readonly Resource[], make: (resource: string) => Answers): (key: string) => Answers {
  const known = new Map<string, { readonly answers: Answers; readonly segments: Answers; readonly prefix: string }>();
  for (const { name, item, segmentPrefix: prefix } of resources) {
    const entry = { answers: make(name), segments: make(`${name}_segments`), prefix };
    known.set(name, entry);
    known.set(item, entry);
  }
  const other = make('other');
  return (key) => {
    const entry = known.get(key.slice(0, key.indexOf(':')));
    if (entry === undefined) return other;
    return key.startsWith(entry.prefix) ? entry.segments : entry.answers;
  };
}

function countOthers(tallies: Tallies): (event: CacheEvent) => void {
  const waits = tallies.durations('energex_cache_lease_wait_duration_seconds').at();
  const fills = tallies.durations('energex_cache_fill_duration_seconds').at();
  const rejected = tallies.numbers('energex_cache_fills_rejected_total');
  const refreshes = tallies.numbers('energex_cache_refreshes_total').at();
  const audits = tallies.numbers('energex_cache_audits_total').at();
  const differences = tallies.numbers('energex_cache_audit_differences_total').at();
  const damaged = tallies.numbers('energex_cache_damaged_values_total').at();
  const invalidated = countInvalidations(tallies);
  for (const reason of rejections) rejected.at(reason);
  return (event) => {
    if (event.type === 'wait') waits.observe(event.waitedMs);
    else if (event.type === 'fill') fills.observe(event.loadMs);
    else if (event.type === 'fill-rejected') rejected.at(event.reason).value += 1;
    else if (event.type === 'refresh') refreshes.value += 1;
    else if (event.type === 'damage') damaged.value += 1;
    else if (event.type === 'audit') {
      audits.value += 1;
      differences.value += event.differs ? 1 : 0;
    } else {
      invalidated(event);
    }
  };
}

function countInvalidations(tallies: Tallies): (event: CacheEvent) => void {
  const invalidations = tallies.numbers('energex_cache_invalidations_total');
  const unreached = tallies.numbers('energex_cache_unreached_steps_total');
  for (const source of sources) invalidations.at(source);
  for (const step of ['fence', 'release', 'invalidate']) unreached.at(step);
  return (event) => {
    if (event.type === 'fence') {
      unreached.at('fence').value += event.reached ? 0 : 1;
    } else if (event.type === 'release' || event.type === 'invalidate') {
      const source = event.type === 'release' ? 'write' : event.source;
      if (event.reached) invalidations.at(source).value += event.names.length;
      else unreached.at(event.type).value += 1;
    } else if (event.type === 'invalidate-all') {
      invalidations.at('feed').value += 1;
    } else if (event.type === 'outbox') {
      invalidations.at('outbox').value += event.swept;
    }
  };
}

type Rejection = Extract<CacheEvent, { type: 'fill-rejected' }>['reason'];

/** What never happened yet is told as 0: only then does the first time show as an increase. */
const bypassReasons: readonly BypassReason[] = ['fenced', 'wait-expired', 'contended', 'store-unavailable'];
const rejections: readonly Rejection[] = ['lease-lost', 'fenced', 'unsettled', 'store-unavailable'];
const sources: readonly (InvalidationSource | 'write' | 'outbox')[] = ['write', 'broadcast', 'feed', 'outbox'];
