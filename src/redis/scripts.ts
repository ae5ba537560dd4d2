import { type Entry, type Fill, type Filled, StoreUnavailable } from '../cache/store.ts';
import type { RedisLink, Reply } from './link.ts';
import type { Place } from './place.ts';
import { asArray, asNumber, asText } from './replies.ts';
import { type Argument, evaluate, loadScript, type Script } from './script.ts';
import { intact, sealed, sumOf, unsealed } from './seal.ts';
import { versionIn } from './version.ts';

/**
 * Typed calls of the steps in `lua/` on the cached values: the only place that knows their arguments and replies. What
 * each does stands in the header of its file.
 */

const acquireScript = loadScript('prelude', 'acquire');
const readScript = loadScript('read');
const fillScript = loadScript('prelude', 'fill');
const attachScript = loadScript('prelude', 'attach');
const surrenderScript = loadScript('prelude', 'surrender');
const fenceScript = loadScript('prelude', 'fence');
const releaseScript = loadScript('prelude', 'release');
const settleScript = loadScript('prelude', 'settle');

/** What each step is told about the server and the fence table. */
export interface Ground {
  readonly runId: string;
  /** Never used before: the epoch of a fence table that has to be made anew. */
  readonly epoch: string;
  /** How long a fence table that was made anew stays shut by itself, in milliseconds: as long as a fence. */
  readonly settleMs: number;
}

/** One step on one server: its link, the deadline in milliseconds, and the ground it stands on. */
export interface Call {
  readonly link: Pick<RedisLink, 'send'>;
  readonly deadlineMs: number;
  readonly ground: Ground;
}

export type AcquireReply =
  | { readonly kind: 'hit'; readonly entry: Entry }
  | { readonly kind: 'version'; readonly entry: Omit<Entry, 'value'> }
  | { readonly kind: 'lease'; readonly position: string }
  | { readonly kind: 'wait'; readonly remainingMs: number }
  | { readonly kind: 'bypass' }
  /** What is there is not what was stored. */
  | { readonly kind: 'damaged' }
  | Unsettled
  | Failed;

/** One place could not be used: something else is under its key, say. */
export interface Failed {
  readonly kind: 'failed';
  readonly reason: string;
}

/** The server has lost its memory: nothing may be filled until `settle` with this epoch. */
export interface Unsettled {
  readonly kind: 'unsettled';
  readonly epoch: string;
}

/** What one place is asked for: `token` becomes the lease, and the version of the value when it is filled. */
export interface Wanted {
  readonly place: Place;
  readonly token: string;
}

/** A lease that is asked for. */
export interface Asking extends Wanted {
  readonly leaseMs: number;
  /** A value that is there is to be loaded anew. */
  readonly renew: boolean;
  /** A version without bytes is an answer. */
  readonly composes: boolean;
}

/** One reply for each that is asked for, in the same order. All places are in one slot. */
export async function acquire(
  call: Call,
  asked: readonly Asking[],
  { trusted, maxFields, channel }: { trusted: string; maxFields: number; channel: string },
): Promise<readonly AcquireReply[]> {
  const replies = await runTogether(
    call,
    acquireScript,
    asked.map(({ place }) => place),
    [
      trusted,
      maxFields,
      channel,
      ...asked.flatMap(({ place, token, leaseMs, renew, composes }) => [
        place.suffix,
        token,
        leaseMs,
        renew ? '1' : '0',
        composes ? '1' : '0',
      ]),
    ],
  );
  return asked.map(({ place }, at) => toAcquireReply(place, replies[at] ?? null));
}

function toAcquireReply(place: Place, reply: Reply): AcquireReply {
  const [kind, ...rest] = asArray(reply);
  switch (asText(kind)) {
    case 'hit':
      return toHit(place, rest);
    case 'version':
      return toVersion(place, rest);
    case 'lease':
      return { kind: 'lease', position: asText(rest[0]) };
    case 'wait':
      return { kind: 'wait', remainingMs: asNumber(rest[0]) };
    case 'unsettled':
      return { kind: 'unsettled', epoch: asText(rest[0]) };
    case 'failed':
      return { kind: 'failed', reason: asText(rest[0]) };
    default:
      return { kind: 'bypass' };
  }
}

/** What each place holds; values of `most` bytes or more are left out. */
export async function read(
  { link, deadlineMs, trusted }: Pick<Call, 'link' | 'deadlineMs'> & { readonly trusted: string },
  places: readonly Place[],
  most: number,
): Promise<(Entry | 'absent' | 'long' | 'damaged')[]> {
  const keys = places.flatMap(({ value, guard }) => [value, guard]);
  const args = [most, ...places.map(({ suffix }) => suffix)];
  const [replies] = await evaluate(link, deadlineMs, readScript, [{ keys, args }]);
  const found = asArray(replies);
  return places.map((place, at) => {
    const reply = found[at];
    if (typeof reply === 'number') return reply === 0 ? 'absent' : 'long';
    const [first, meta, loadMs, ttl, sum, value] = asArray(reply);
    const version = versionIn(first, trusted);
    if (version === null || asNumber(ttl) <= 0) return 'absent';
    return intact(place, { version, meta, loadMs, ttl, sum, value });
  });
}

function toHit(place: Place, [version, meta, loadMs, ttl, sum, value]: readonly Reply[]): AcquireReply {
  const entry = intact(place, { version: asText(version), meta, loadMs, ttl, sum, value });
  return entry === 'damaged' ? { kind: 'damaged' } : { kind: 'hit', entry };
}

function toVersion(place: Place, [version, meta, loadMs, ttl]: readonly Reply[]): AcquireReply {
  const entry = unsealed(place, { version: asText(version), meta, loadMs, ttl });
  return entry === 'damaged' ? { kind: 'damaged' } : { kind: 'version', entry };
}

/** One value and the lease that it was loaded under. */
export interface Filling extends Wanted {
  readonly fill: Fill;
  readonly finding?: Finding | undefined;
}

/** What was found to stand where the lease came with a mark. */
export interface Finding {
  readonly mark: string;
  readonly position: string;
}

/** One reply for each filling, in the same order. All places are in one slot. */
export async function fill(call: Call, fillings: readonly Filling[]): Promise<readonly (Filled | Failed)[]> {
  const replies = await runTogether(
    call,
    fillScript,
    fillings.map(({ place }) => place),
    fillings.flatMap(({ place, token, fill: { ttlMs, meta, value, loadMs }, finding }) => [
      place.suffix,
      token,
      ttlMs,
      sealed(place, token, { meta, loadMs }),
      value ?? '',
      loadMs,
      value === null ? '' : sumOf(place, token, value),
      finding?.mark ?? '',
      finding?.position ?? '',
    ]),
  );
  return replies.map(toFilled);
}

function toFilled(reply: Reply): Filled | Failed {
  if (!Buffer.isBuffer(reply)) return { kind: 'failed', reason: asText(asArray(reply)[1]) };
  const text = asText(reply);
  if (text === 'stored') return { stored: true };
  return { stored: false, reason: text === 'fenced' || text === 'unsettled' ? text : 'lease-lost' };
}

/** `bytes` is the key under which the bytes are by now. */
export async function attach(
  call: Call,
  { place, version, bytes, sum }: { place: Place; version: string; bytes: string; sum: string },
): Promise<boolean> {
  const [reply] = await runAll(call, attachScript, [[...keysOf([place]), bytes]], [place.suffix, version, sum]);
  return asNumber(reply) === 1;
}

export async function surrender(call: Call, place: Place, token: string): Promise<void> {
  await runOnce(call, surrenderScript, [place], [place.suffix, token]);
}

/** All places in one go: in one call for each fence table. */
export async function fence(call: Call, places: readonly Place[], token: string, fenceMs: number): Promise<void> {
  await runByTable(call, fenceScript, places, [token, fenceMs]);
}

/** The same. `committed`: a position, `?` where it is not known, `''` for nothing. */
export async function release(call: Call, places: readonly Place[], token: string, committed: string): Promise<void> {
  await runByTable(call, releaseScript, places, [token, committed]);
}

/** Opens the table of this epoch; with `''` only tells what there is. */
export async function settle(call: Call, fences: string, epoch: string): Promise<{ kind: 'settled' } | Unsettled> {
  const [reply] = await runAll(call, settleScript, [[fences]], [epoch]);
  const [kind, unsettled] = asArray(reply);
  return asText(kind) === 'settled' ? { kind: 'settled' } : { kind: 'unsettled', epoch: asText(unsettled) };
}

/** One call for all places, which have the same fence table; it replies with one reply for each. */
async function runTogether(
  call: Call,
  script: Script,
  places: readonly Place[],
  args: readonly Argument[],
): Promise<readonly Reply[]> {
  const replies = asArray(await runOnce(call, script, places, args));
  if (replies.length === places.length) return replies;
  throw new StoreUnavailable(`Redis replied with ${replies.length} answers where ${places.length} were expected`);
}

async function runOnce(
  call: Call,
  script: Script,
  places: readonly Place[],
  args: readonly Argument[],
): Promise<Reply | undefined> {
  const [reply] = await runAll(call, script, [keysOf(places)], args);
  return reply;
}

async function runByTable(
  call: Call,
  script: Script,
  places: readonly Place[],
  args: readonly Argument[],
): Promise<void> {
  const tables = Map.groupBy(places, ({ fences }) => fences);
  await runAll(call, script, [...tables.values()].map(keysOf), args);
}

function keysOf(places: readonly Place[]): readonly string[] {
  return [places[0]?.fences ?? '', ...places.flatMap(({ value, guard }) => [value, guard])];
}

async function runAll(
  { link, deadlineMs, ground }: Call,
  script: Script,
  keys: readonly (readonly string[])[],
  args: readonly Argument[],
): Promise<readonly Reply[]> {
  const all = [ground.runId, ground.epoch, ground.settleMs, ...args];
  return await evaluate(
    link,
    deadlineMs,
    script,
    keys.map((each) => ({ keys: each, args: all })),
  );
}
