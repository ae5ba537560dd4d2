import type { Entry, Fill, Filled } from '../cache/store.ts';
import type { RedisLink, Reply } from './link.ts';
import type { Place } from './place.ts';
import { asArray, asBuffer, asNumber, asText } from './replies.ts';
import { type Argument, evaluate, loadScript, type Script } from './script.ts';

/**
 * Typed calls of the steps in `lua/` on the cached values: the only place that knows their arguments and replies. What
 * each does stands in the header of its file.
 */

const acquireScript = loadScript('prelude', 'acquire');
const fillScript = loadScript('prelude', 'fill');
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
  | { readonly kind: 'lease' }
  | { readonly kind: 'wait'; readonly remainingMs: number }
  | { readonly kind: 'bypass' }
  | Unsettled;

/** The server has lost its memory: nothing may be filled until `settle` with this epoch. */
export interface Unsettled {
  readonly kind: 'unsettled';
  readonly epoch: string;
}

/** `token` becomes the lease, and the version of the value when it is filled. */
export async function acquire(
  call: Call,
  place: Place,
  args: {
    trusted: string;
    token: string;
    leaseMs: number;
    maxFields: number;
    renew: boolean;
    channel: string;
  },
): Promise<AcquireReply> {
  const reply = await run(call, acquireScript, place, [
    place.suffix,
    args.trusted,
    args.token,
    args.leaseMs,
    args.maxFields,
    args.renew ? '1' : '0',
    args.channel,
  ]);
  const [kind, ...rest] = asArray(reply);
  switch (asText(kind)) {
    case 'hit': {
      const [version, meta, loadMs, ttlMs, value] = rest;
      return {
        kind: 'hit',
        entry: {
          version: asText(version),
          meta: asText(meta),
          loadMs: asNumber(loadMs),
          ttlMs: asNumber(ttlMs),
          value: asBuffer(value),
        },
      };
    }
    case 'lease':
      return { kind: 'lease' };
    case 'wait':
      return { kind: 'wait', remainingMs: asNumber(rest[0]) };
    case 'unsettled':
      return { kind: 'unsettled', epoch: asText(rest[0]) };
    default:
      return { kind: 'bypass' };
  }
}

export async function fill(call: Call, place: Place, args: { token: string } & Fill): Promise<Filled> {
  const reply = asText(
    await run(call, fillScript, place, [place.suffix, args.token, args.ttlMs, args.meta, args.value, args.loadMs]),
  );
  if (reply === 'stored') return { stored: true };
  return { stored: false, reason: reply === 'fenced' || reply === 'unsettled' ? reply : 'lease-lost' };
}

export async function surrender(call: Call, place: Place, token: string): Promise<void> {
  await run(call, surrenderScript, place, [place.suffix, token]);
}

/** All places in one go. */
export async function fence(call: Call, places: readonly Place[], token: string, fenceMs: number): Promise<void> {
  await runAll(call, fenceScript, places.map(keysOf), [token, fenceMs]);
}

/** All places in one go. */
export async function release(call: Call, places: readonly Place[], token: string): Promise<void> {
  await runAll(call, releaseScript, places.map(keysOf), [token]);
}

/** Opens the table of this epoch; with `''` only tells what there is. */
export async function settle(call: Call, fences: string, epoch: string): Promise<{ kind: 'settled' } | Unsettled> {
  const [reply] = await runAll(call, settleScript, [[fences]], [epoch]);
  const [kind, unsettled] = asArray(reply);
  return asText(kind) === 'settled' ? { kind: 'settled' } : { kind: 'unsettled', epoch: asText(unsettled) };
}

function keysOf({ fences, value, guard }: Place): readonly string[] {
  return [fences, value, guard];
}

async function run(call: Call, script: Script, place: Place, args: readonly Argument[]): Promise<Reply | undefined> {
  const [reply] = await runAll(call, script, [keysOf(place)], args);
  return reply;
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
