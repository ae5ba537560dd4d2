import type { Inspection } from '../redis/inspection.ts';
import { type KeyMeaning, wholeTtl } from '../resources/key-meaning.ts';

/** What every version begins with that is served now; `undefined` where that could not be learned. */
export interface Grounds {
  /** `undefined` where servers are not claimed: in a cluster. */
  readonly claim: { readonly run: string; readonly generation: string } | undefined;
  readonly origin: string;
}

export interface Verdict {
  /**
   * `cached`: readers get the bytes from Redis. `composed`: a version without bytes is current, instances put them together.
   * `bypassed`: a write is committing. `loading`: somebody has the lease. `absent`: the next reader loads.
   */
  readonly state: 'cached' | 'composed' | 'bypassed' | 'loading' | 'absent';
  readonly reasons: readonly string[];
  /** Whether the version counts; `null` without one, or where that could not be learned. */
  readonly isTrusted: boolean | null;
  /** Milliseconds since it was filled, from and to: a time to live is shortened by chance, so it can't be told exactly. */
  readonly ageMs: readonly [least: number, most: number] | null;
}

export function judge(meaning: KeyMeaning, found: Inspection, grounds: Grounds | undefined): Verdict {
  const doubt = doubtOn(found, grounds);
  const isTrusted = found.version === null || grounds === undefined ? null : doubt === undefined;
  const ageMs = found.version === null || found.ttlMs === null ? null : ageOf(meaning, found, found.ttlMs);
  const openFences = found.fences.filter(({ remainingMs }) => remainingMs > 0);
  const reasons: string[] = [];
  if (found.foreign !== undefined)
    reasons.push(`under the key is ${found.foreign}, which is not ours: reads go to the database`);
  if (doubt !== undefined) reasons.push(doubt);
  for (const { remainingMs } of openFences) {
    reasons.push(`a fence is open for ${remainingMs} ms more: a write is committing, or its writer died`);
  }
  if (!found.table.isThere) reasons.push('the fence table is not there: Redis has lost its memory, or was never used');
  else if (found.table.opensInMs > 0)
    reasons.push(`nothing is filled for ${found.table.opensInMs} ms more: Redis has lost its memory`);
  const counts = found.version !== null && doubt === undefined && found.foreign === undefined;
  if (counts && found.ttlMs !== null) {
    if (found.bytes !== null)
      return { state: 'cached', reasons: [...reasons, contentOf(meaning, found)], isTrusted, ageMs };
    return {
      state: 'composed',
      reasons: [...reasons, 'instances put the list together from its segments'],
      isTrusted,
      ageMs,
    };
  }
  if (counts) reasons.push('the version is there and its bytes are not: they have expired, or were evicted');
  if (openFences.length > 0) return { state: 'bypassed', reasons, isTrusted, ageMs };
  if (found.lease !== undefined && found.lease.remainingMs > 0) {
    reasons.push(
      `an instance is loading it, for ${found.lease.remainingMs} ms more at most; ${found.waiters} wait for it`,
    );
    return { state: 'loading', reasons, isTrusted, ageMs };
  }
  if (found.version === null && found.foreign === undefined) {
    reasons.push('nobody has read it since it was invalidated, expired or was evicted: the next reader loads it');
  }
  return { state: 'absent', reasons, isTrusted, ageMs };
}

function contentOf(meaning: KeyMeaning, found: Inspection): string {
  return saysAbsent(meaning, found)
    ? 'it says that there is no such row: readers get 404'
    : 'readers get it from Redis, or from memory once validated';
}

/** Why a version is not served, by what it begins with: see `docs/consistency.md`, "Versions". */
function doubtOn({ version, runId }: Inspection, grounds: Grounds | undefined): string | undefined {
  if (version === null || grounds === undefined) return undefined;
  const { claim, origin } = grounds;
  if (!version.startsWith(`${runId}.`))
    return 'the version is of another run of Redis: before a restart or a promotion';
  if (claim !== undefined && claim.run !== runId) return 'the instances use another Redis than this one';
  const ofClaim = `${runId}.${claim?.generation ?? '0'}.`;
  if (!version.startsWith(ofClaim)) return 'the version is of another claim: another Redis was in use meanwhile';
  if (!version.startsWith(`${ofClaim}${origin}.`))
    return 'the version was loaded from another database: another server, or before a backup was restored';
  return undefined;
}

/** Of the whole time to live, which jitter shortens by up to this. */
const mostJitter = 0.1;

function ageOf(meaning: KeyMeaning, found: Inspection, ttlMs: number): [number, number] {
  const whole = wholeTtl(meaning, saysAbsent(meaning, found));
  return [Math.max(0, Math.round(whole * (1 - mostJitter)) - ttlMs), Math.max(0, whole - ttlMs)];
}

function saysAbsent({ kind }: KeyMeaning, { head, bytes }: Inspection): boolean {
  return kind === 'row' && bytes === 4 && head === 'null';
}
