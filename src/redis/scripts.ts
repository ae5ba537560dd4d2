import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import type { Acquired, Fill, Filled } from '../cache/store.ts';

/**
 * Typed calls of `lua/`: the only place that knows the arguments and replies of the scripts. What each does stands in
 * the header of its file.
 */

const folder = join(import.meta.dirname, '..', '..', 'lua');
const prelude = readFileSync(join(folder, 'prelude.lua'), 'utf8');

const acquireScript = loadScript('acquire');
const fillScript = loadScript('fill');
const surrenderScript = loadScript('surrender');
const fenceScript = loadScript('fence');
const releaseScript = loadScript('release');

/** Where a key lives in Redis. Value and guard hash to the same cluster slot. */
export interface Place {
  readonly value: string;
  readonly guard: string;
  /** Ends the names of the part's fields in the guard; empty for the name's own value. */
  readonly suffix: string;
}

/** `token` becomes the lease, and the version of the value when it is filled. */
export async function acquire(
  client: Redis,
  place: Place,
  args: { runId: string; token: string; leaseMs: number; maxFields: number; renew: boolean },
): Promise<Acquired> {
  const reply = await run(client, acquireScript, place, [
    place.suffix,
    args.runId,
    args.token,
    args.leaseMs,
    args.maxFields,
    args.renew ? '1' : '0',
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
      return { kind: 'lease', token: args.token };
    case 'wait':
      return { kind: 'wait', remainingMs: asNumber(rest[0]) };
    default:
      return { kind: 'bypass' };
  }
}

export async function fill(client: Redis, place: Place, args: { token: string } & Fill): Promise<Filled> {
  const reply = asText(
    await run(client, fillScript, place, [place.suffix, args.token, args.ttlMs, args.meta, args.value, args.loadMs]),
  );
  if (reply === 'stored') return { stored: true };
  return { stored: false, reason: reply === 'fenced' ? 'fenced' : 'lease-lost' };
}

export async function surrender(client: Redis, place: Place, token: string): Promise<void> {
  await run(client, surrenderScript, place, [place.suffix, token]);
}

export async function fence(client: Redis, place: Place, token: string, fenceMs: number): Promise<void> {
  await run(client, fenceScript, place, [token, fenceMs]);
}

export async function release(client: Redis, place: Place, token: string): Promise<void> {
  await run(client, releaseScript, place, [token]);
}

interface Script {
  readonly text: string;
  readonly sha: string;
}

function loadScript(name: string): Script {
  const text = `${prelude}\n${readFileSync(join(folder, `${name}.lua`), 'utf8')}`;
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/** By digest, which the server usually has; with the text where it has lost it (a restart, `SCRIPT FLUSH`). */
async function run(
  client: Redis,
  script: Script,
  { value, guard }: Place,
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  try {
    return await client.callBuffer('EVALSHA', script.sha, 2, value, guard, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return await client.callBuffer('EVAL', script.text, 2, value, guard, ...args);
  }
}

function asArray(reply: unknown): readonly unknown[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected('an array', reply);
}

export function asText(reply: unknown): string {
  if (typeof reply === 'string') return reply;
  return asBuffer(reply).toString();
}

export function asBuffer(reply: unknown): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw unexpected('a string', reply);
}

export function asNumber(reply: unknown): number {
  if (typeof reply === 'number') return reply;
  throw unexpected('a number', reply);
}

function unexpected(wanted: string, reply: unknown): TypeError {
  return new TypeError(`Redis replied ${reply === null ? 'null' : typeof reply} where ${wanted} was expected`);
}
