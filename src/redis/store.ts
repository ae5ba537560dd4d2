import type { Inspection } from '../cache/inspection.ts';
import { randomBytes } from 'node:crypto';
import { publish } from '../cache/channels.ts';
import type { Clock } from '../cache/clock.ts';
import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import { Notices } from '../cache/notices.ts';
import type { Bytes } from '../cache/rope.ts';
import type { Acquired, AcquireOptions, CacheStore, Commit, Entry, VersionClaim } from '../cache/store.ts';
import { type Fill, type Filled, type Found, StoreUnavailable } from '../cache/store.ts';
import { attachAt } from './attach.ts';
import { ClusterServers } from './cluster.ts';
import type { EventLog } from '../realtime/event-log.ts';
import { RedisEventLog } from './event-log.ts';
import { RedisInspection } from './store-inspection.ts';
import { keepText, keptText } from './kept-text.ts';
import { Leases } from './leases.ts';
import type { Bounds } from './event-scripts.ts';
import { ManyReads, tellEach } from './many-reads.ts';
import type { Command, Subscribe } from './link.ts';
import type { Place } from './place.ts';
import type { Reach } from './reach.ts';
import { asArray, asNumber } from './replies.ts';
import { type Scanned, scanNames } from './scan.ts';
import * as scripts from './scripts.ts';
import { intact } from './seal.ts';
import { versionIn } from './version.ts';
import { sinceOf, storedOf } from './positions.ts';
import type { DeletionCall } from './server.ts';
import type { TrustedServerOptions } from './server-options.ts';
import { OneServer, type Servers, type Steps } from './servers.ts';
import { Validations } from './validations.ts';

/** The store on Redis: each step is one script or one pipeline. When a server can be trusted says `server.ts`. */
export class RedisStore implements CacheStore {
  readonly #servers: Servers;
  readonly #subscribe: Subscribe;
  readonly #clock: Clock;
  readonly #tokens = randomBytes(9).toString('base64url');
  readonly #notices = new Notices();
  readonly #channel: string;
  readonly #manyReads = new ManyReads();
  readonly #validations = new WeakMap<Steps, Validations>();
  readonly #leases = new WeakMap<Steps, Leases>();
  readonly #mostTogether: number;
  #unsubscribe: (() => void) | undefined;
  #count = 0;

  constructor(options: RedisStoreOptions) {
    this.#subscribe = options.subscribe;
    this.#clock = options.clock;
    this.#channel = `${options.reach.prefix ?? ''}energex:wake:${this.#tokens}`;
    this.#mostTogether = options.reach.kind === 'one' ? mostPlaces : 1;
    this.#servers = this.#open({ ...options, unique: () => this.unique() });
  }

  /** Begins to connect; returns at once. Until the store is trusted its calls reject with `StoreUnavailable`. */
  connect(): void {
    this.#unsubscribe = this.#subscribe(this.#channel, (guard) => this.#notices.wake(guard));
    this.#servers.connect();
  }

  /** Why the store is not trusted; `undefined` when it is. */
  get downReason(): string | undefined {
    return this.#servers.downReason;
  }

  #open({ reach, ...options }: RedisStoreOptions & { readonly unique: () => string }): Servers {
    if (reach.kind === 'one') return new OneServer({ ...options, ...reach });
    // There is one claim for one server: the nodes would take it from each other.
    const { claim: _claim, ...others } = options;
    return new ClusterServers({ ...others, ...reach });
  }

  validate(key: Key): Promise<string | null> {
    const place = this.#servers.placeOf(key);
    return this.#servers.at(place, (server) => this.#validationsOn(server).ask(place));
  }

  #validationsOn(server: Steps): Validations {
    const known = this.#validations.get(server);
    if (known !== undefined) return known;
    const validations = new Validations((places) => this.#versionsOn(server, places));
    this.#validations.set(server, validations);
    return validations;
  }

  async confirm(
    claims: readonly VersionClaim[],
    tell: (at: number, isCurrent: boolean | undefined) => void,
  ): Promise<void> {
    const { only } = this.#servers;
    if (only === undefined) {
      // Each node answers for its own, and sends us elsewhere for single keys.
      await Promise.all(
        claims.map(async ({ key, version }, at) => {
          const current = await this.validate(key).catch(() => undefined);
          tell(at, current === undefined ? undefined : current === version);
        }),
      );
      return;
    }
    const places = claims.map(({ key }) => this.#servers.placeOf(key));
    const versions = await this.#versionsOn(only, places).catch(() => undefined);
    for (let at = 0; at < claims.length; at += 1) {
      tell(at, versions === undefined ? undefined : versions[at] === claims[at]?.version);
    }
  }

  async #versionsOn(server: Steps, places: readonly Place[]): Promise<readonly (string | null)[]> {
    return await server.withCommands(async ({ link, deadlineMs, trusted }) => {
      const commands = places.map(({ guard, suffix }): Command => ['HGET', guard, `version${suffix}`]);
      const replies = await link.send(deadlineMs, commands);
      return replies.map((reply) => versionIn(reply, trusted));
    });
  }

  async read(key: Key): Promise<Entry | null> {
    const place = this.#servers.placeOf(key);
    const entry = await this.#servers.at(place, (server) => this.#read(server, place));
    if (entry !== 'damaged') return entry;
    await this.#takeAway(key);
    return null;
  }

  /** What is not what was stored: as if it had been invalidated, which is always allowed. */
  async #takeAway(key: Key): Promise<void> {
    publish({ type: 'damage', key });
    await this.release([splitKey(key).name], this.unique(), 'nothing');
  }

  async #read(server: Steps, place: Place): Promise<Entry | 'damaged' | null> {
    const { value, guard, suffix } = place;
    return await server.withValues(async ({ link, deadlineMs, trusted }) => {
      const [before, bytes, ttl, after] = await link.send(deadlineMs, [
        ['HMGET', guard, `version${suffix}`, `meta${suffix}`, `load_ms${suffix}`, `sum${suffix}`],
        ['GET', value],
        ['PTTL', value],
        ['HGET', guard, `version${suffix}`],
      ]);
      const [first, meta, loadMs, sum] = asArray(before);
      const version = versionIn(first, trusted);
      // A version that changed meanwhile: the value would be right, but the meta might belong to another one.
      if (version === null || bytes === null || versionIn(after, trusted) !== version) return null;
      return asNumber(ttl) <= 0 ? null : intact(place, { version, meta, loadMs, ttl, sum, value: bytes });
    });
  }

  readAll(keys: readonly Key[], tell: (at: number, found: Found) => void): Promise<void> {
    const { only } = this.#servers;
    const places = keys.map((key) => this.#servers.placeOf(key));
    // Each node of a cluster answers for its own, and sends us elsewhere for single keys.
    const one = (at: number): Promise<Entry | null> => this.read(keys[at] ?? '');
    return only === undefined ? tellEach(keys.keys(), one, tell) : this.#manyReads.read(only, places, one, tell);
  }

  async acquire(key: Key, leaseMs: number, options: AcquireOptions = {}): Promise<Acquired> {
    const place = this.#servers.placeOf(key);
    // Before it is asked for: the notice may be faster than the answer on the other connection.
    const notice = this.#notices.listen(place.guard);
    let waits = false;
    try {
      const acquired = await this.#servers.at(place, (server) => this.#acquire(server, key, leaseMs, options));
      waits = acquired.kind === 'wait';
      return acquired.kind === 'wait' ? { ...acquired, notice } : acquired;
    } finally {
      if (!waits) notice.close();
    }
  }

  async #acquire(
    server: Steps,
    key: Key,
    leaseMs: number,
    { renew = false, composes = false }: AcquireOptions,
  ): Promise<WithoutNotice> {
    const place = this.#servers.placeOf(key);
    for (let attempt = 1; ; attempt += 1) {
      const { token, trusted, reply } = await this.#leasesOn(server).acquire({ place, leaseMs, renew, composes });
      if (reply.kind === 'lease') return { kind: 'lease', token, since: sinceOf(reply.position, trusted) };
      if (reply.kind === 'failed') throw new StoreUnavailable(reply.reason);
      if (reply.kind !== 'unsettled' && reply.kind !== 'damaged') return reply;
      if (attempt > 1) return { kind: 'bypass' };
      if (reply.kind === 'damaged') await this.#takeAway(key);
      else if (!(await server.settle(place.fences, reply.epoch))) return { kind: 'bypass' };
    }
  }

  async fill(key: Key, token: string, fill: Fill): Promise<Filled> {
    const filling = { place: this.#servers.placeOf(key), token, fill };
    return await this.#servers.at(filling.place, async (server) => {
      const filled = await this.#leasesOn(server).store(filling);
      if ('kind' in filled) throw new StoreUnavailable(filled.reason);
      return filled;
    });
  }

  #leasesOn(server: Steps): Leases {
    const known = this.#leases.get(server);
    if (known !== undefined) return known;
    const leases = new Leases(server, {
      unique: () => this.unique(),
      channel: this.#channel,
      mostTogether: this.#mostTogether,
    });
    this.#leases.set(server, leases);
    return leases;
  }

  async attach(key: Key, version: string, value: Bytes): Promise<boolean> {
    const place = this.#servers.placeOf(key);
    const attachment = { version, value, id: this.unique() };
    return await this.#servers.at(place, (server) => attachAt(server, place, attachment));
  }

  async surrender(key: Key, token: string): Promise<void> {
    const place = this.#servers.placeOf(key);
    await this.#servers.at(place, (server) => server.withCommands((call) => scripts.surrender(call, place, token)));
  }

  async fence(names: readonly KeyName[], token: string, fenceMs: number): Promise<void> {
    await this.#delete(names, (call, places) => scripts.fence(call, places, token, fenceMs));
  }

  async release(names: readonly KeyName[], token: string, committed: Commit = 'unknown'): Promise<void> {
    await this.#delete(names, (call, places) =>
      scripts.release(call, places, token, storedOf(committed, call.trusted)),
    );
  }

  async releaseAll(prefix: string): Promise<void> {
    await this.#servers.onEach(async (server) => {
      let cursor = '0';
      do {
        const found = await this.#scan(server, cursor, `${escapeGlob(prefix)}*`);
        ({ cursor } = found);
        for (let from = 0; from < found.names.length; from += releasedAtOnce) {
          await this.release(found.names.slice(from, from + releasedAtOnce), this.unique());
        }
      } while (cursor !== '0');
    });
  }

  /** A deletion as well: a server that cannot be asked holds what was to go. */
  async #scan(server: Steps, from: string, pattern: string): Promise<Scanned> {
    let found: Scanned = { cursor: '0', names: [] };
    const scanned = { prefix: this.#servers.prefix, pattern };
    await server.withDeletion(async ({ link, deadlineMs }) => {
      found = await scanNames((commands) => link.send(deadlineMs, commands), from, scanned);
    });
    return found;
  }

  /** Keeps a text that is worth as much as the entries are: whenever those are not trusted any more, neither is it. */
  async keep(key: Key, text: string): Promise<void> {
    const place = this.#servers.placeOf(key);
    await this.#servers.at(place, (server) => server.withCommands((call) => keepText(call, place, text)));
  }

  /** What `keep` was given last; `null` when there is none that can be trusted. */
  async kept(key: Key): Promise<string | null> {
    const place = this.#servers.placeOf(key);
    return await this.#servers.at(place, (server) => server.withCommands((call) => keptText(call, place)));
  }

  async #delete(
    names: readonly KeyName[],
    step: (call: DeletionCall, places: readonly Place[]) => Promise<void>,
  ): Promise<void> {
    const places = names.map((name) => this.#servers.placeOf(name));
    await this.#servers.atAll(places, (server, own) => server.withDeletion((call) => step(call, own)));
  }

  get run(): string | undefined {
    return this.#servers.run;
  }

  /** For people who want to see what there is. */
  get inspection(): Inspection {
    return new RedisInspection(this.#servers);
  }

  /** The event log beside the values. */
  openEventLog(bounds: Bounds): EventLog {
    return new RedisEventLog(this.#servers, {
      bounds,
      clock: this.#clock,
      subscribe: this.#subscribe,
      unique: () => this.unique(),
    });
  }

  get servers(): Servers {
    return this.#servers;
  }

  unique(): string {
    this.#count += 1;
    return `${this.#tokens}${this.#count.toString(36)}`;
  }

  async ping(): Promise<void> {
    await this.#servers.ping();
  }

  async close(): Promise<void> {
    this.#unsubscribe?.();
    this.#servers.close();
  }
}

export interface RedisStoreOptions
  extends Omit<TrustedServerOptions, 'unique' | 'openLink' | 'settleFirst' | 'name' | 'recover'> {
  readonly reach: Reach;
  /**
   * Invalidates what changed while a server was out of reach, as far as `wanted` goes (all, when it is not given); the
   * server is trusted once it resolves.
   */
  readonly recover: (wanted?: (name: KeyName) => boolean) => Promise<void>;
  readonly subscribe: Subscribe;
}

type WithoutNotice = Exclude<Acquired, { kind: 'wait' }> | { readonly kind: 'wait'; readonly remainingMs: number };

/**
 * In one call of a script: Redis answers nobody else meanwhile. In a cluster the places are in many slots, and one that is
 * elsewhere by now would fail the others.
 */
const mostPlaces = 32;

/** As many as go within the deadline of a small command. */
const releasedAtOnce = 50;

function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]^-]/g, String.raw`\$&`);
}
