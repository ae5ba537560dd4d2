import keySlot from 'cluster-key-slot';
import { StoreUnavailable } from '../cache/store.ts';
import type { Reply } from './link.ts';

/** Redis Cluster spreads keys over 16,384 slots: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ */
export const slotCount = 16_384;

/** The slot of a name, which is also that of its guard and its parts. */
export function slotOf(name: string): number {
  return keySlot(`{${name}}`);
}

const tables: string[] = [];

/** A slot has a fence table of its own, which moves with it. */
export function fenceTableOf(slot: number): string {
  if (tables.length === 0) nameTables();
  return tables[slot] ?? '';
}

/** The first number that hashes to each slot is its tag. */
function nameTables(): void {
  let missing = slotCount;
  for (let number = 0; missing > 0; number += 1) {
    const slot = keySlot(String(number));
    if (tables[slot] !== undefined) continue;
    tables[slot] = `energex:{${number}}:fences`;
    missing -= 1;
  }
}

export interface SlotRange {
  readonly first: number;
  readonly last: number;
  /** `host:port` of the master. */
  readonly master: string;
}

/** The reply to `CLUSTER SLOTS`. `asked` is the host that was asked, for a node that does not know its own. */
export function parseSlots(reply: Reply | undefined, asked: string): SlotRange[] {
  const rows: readonly Reply[] = isArray(reply) ? reply : [];
  const ranges = rows.flatMap((row) => parseRange(row, asked));
  if (ranges.length === 0) throw new StoreUnavailable('the cluster has no slots yet');
  return ranges;
}

function parseRange(row: Reply, asked: string): SlotRange[] {
  const [first, last, master] = isArray(row) ? row : [];
  const [host, port] = isArray(master) ? master : [];
  if (typeof first !== 'number' || typeof last !== 'number' || typeof port !== 'number') return [];
  const name = Buffer.isBuffer(host) && host.length > 0 ? host.toString() : asked;
  return [{ first, last, master: nodeName(name, port) }];
}

export function nodeName(host: string, port: number): string {
  return `${host}:${port}`;
}

function isArray(reply: Reply | undefined): reply is readonly Reply[] {
  return Array.isArray(reply);
}
