import { StoreUnavailable } from '../cache/store.ts';
import type { Reply } from './link.ts';

/** What a reply must be, else `StoreUnavailable`: such a server is no Redis, or not one to rely on. */
export function asArray(reply: Reply | undefined): readonly Reply[] {
  if (Array.isArray(reply)) return reply;
  throw unexpected('an array', reply);
}

export function asText(reply: Reply | undefined): string {
  return asBuffer(reply).toString();
}

export function asBuffer(reply: Reply | undefined): Buffer {
  if (Buffer.isBuffer(reply)) return reply;
  throw unexpected('a string', reply);
}

export function asNumber(reply: Reply | undefined): number {
  if (typeof reply === 'number') return reply;
  throw unexpected('a number', reply);
}

function unexpected(wanted: string, reply: unknown): StoreUnavailable {
  const what = reply === null ? 'null' : Array.isArray(reply) ? 'an array' : typeof reply;
  return new StoreUnavailable(`Redis replied ${what} where ${wanted} was expected`);
}
