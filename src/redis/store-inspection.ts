import { type FoundNames, type Inspection, type Looked, shownBytes, type StoreUsage } from '../cache/inspection.ts';
import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import { clockOf, expiresIn, fencesIn, fieldsOf, partsIn } from './guard-fields.ts';
import type { Place } from './place.ts';
import { asNumber, asText } from './replies.ts';
import { infoField } from './run.ts';
import { scanNames } from './scan.ts';
import { metaIn } from './seal.ts';
import type { Servers, Steps } from './servers.ts';
import { versionIn } from './version.ts';

/** What is in Redis, on one server or on all nodes of a cluster. */
export class RedisInspection implements Inspection {
  readonly #servers: Servers;

  constructor(servers: Servers) {
    this.#servers = servers;
  }

  /** Every name has its guard, so those are looked for. A scan of many keys ends early, and says so. */
  async find(pattern: string, most: number): Promise<FoundNames> {
    const { prefix } = this.#servers;
    const names = new Set<KeyName>();
    let hasMore = false;
    await this.#servers.onEach(async (server) => {
      let cursor = '0';
      let rounds = 0;
      do {
        const found = await server.withCommands(({ link, deadlineMs }) =>
          scanNames((commands) => link.send(deadlineMs, commands), cursor, { prefix, pattern }),
        );
        ({ cursor } = found);
        for (const name of found.names) names.add(name);
        rounds += 1;
      } while (cursor !== '0' && names.size < most && rounds < mostRounds);
      hasMore ||= cursor !== '0';
    });
    const sorted = [...names].toSorted();
    return { names: sorted.slice(0, most), hasMore: hasMore || sorted.length > most };
  }

  look(key: Key): Promise<Looked | null> {
    const place = this.#servers.placeOf(key);
    return this.#servers.at(place, (server) => lookAt(server, place, splitKey(key).part));
  }

  async usage(): Promise<StoreUsage> {
    const nodes: StoreUsage[] = [];
    await this.#servers.onEach(async (server) => {
      nodes.push(await usageOf(server));
    });
    return nodes.reduce((all, one) => ({
      bytes: all.bytes + one.bytes,
      limitBytes: all.limitBytes + one.limitBytes,
      evictions: all.evictions + one.evictions,
      keys: all.keys + one.keys,
    }));
  }
}

/** Some hundred thousand keys. */
const mostRounds = 400;

async function lookAt(server: Steps, { value, guard, suffix, fences }: Place, part: string): Promise<Looked | null> {
  return await server.withValues(async ({ link, deadlineMs, trusted }) => {
    const [fields, ttl, length, bytes, open, time] = await link.send(deadlineMs, [
      ['HGETALL', guard],
      ['PTTL', value],
      ['STRLEN', value],
      ['GETRANGE', value, 0, shownBytes - 1],
      ['HGET', fences, guard],
      ['TIME'],
    ]);
    const guarded = fieldsOf(fields);
    const now = clockOf(time);
    const size = asNumber(length);
    const count = open === null ? 0 : fencesIn(asText(open), now).filter(({ remainingMs }) => remainingMs > 0).length;
    if (guarded.size === 0 && size === 0 && count === 0) return null;
    const version = guarded.get(`version${suffix}`) ?? null;
    const lease = Number(guarded.get(`lease_deadline${suffix}`) ?? 0) - now;
    return {
      version,
      isCurrent: version !== null && versionIn(Buffer.from(version), trusted) !== null,
      isComposed: version !== null && size === 0,
      meta: metaIn(guarded.get(`meta${suffix}`) ?? ''),
      loadMs: guarded.has(`load_ms${suffix}`) ? Number(guarded.get(`load_ms${suffix}`)) : null,
      ttlMs: size === 0 ? expiresIn(guarded.get(`expires${suffix}`), now) : asNumber(ttl),
      bytes: size === 0 ? null : size,
      value: size === 0 || !Buffer.isBuffer(bytes) ? null : bytes,
      leaseMs: lease > 0 ? lease : null,
      fences: count,
      parts: part === '' ? partsIn(guarded) : [],
    };
  });
}

async function usageOf(server: Steps): Promise<StoreUsage> {
  return await server.withCommands(async ({ link, deadlineMs }) => {
    const [memory, stats, keys] = await link.send(deadlineMs, [['INFO', 'memory'], ['INFO', 'stats'], ['DBSIZE']]);
    return {
      bytes: Number(infoField(asText(memory), 'used_memory') ?? 0),
      limitBytes: Number(infoField(asText(memory), 'maxmemory') ?? 0),
      evictions: Number(infoField(asText(stats), 'evicted_keys') ?? 0),
      keys: asNumber(keys),
    };
  });
}
