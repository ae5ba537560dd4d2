import { Cache } from '../../src/cache/cache.ts';
import type { Composition } from '../../src/cache/composition.ts';
import type { FastReader } from '../../src/cache/held-reads.ts';
import type { Key, KeyName } from '../../src/cache/key.ts';
import type { Outbox } from '../../src/cache/outbox.ts';
import type { Answer } from '../../src/cache/answer.ts';
import type { Loaded } from '../../src/cache/read-through.ts';
import type { Since } from '../../src/cache/store.ts';
import {
  barrierOpening,
  claimRun,
  holdBarrier,
  passBarrier,
  readClaim,
  settleClaim,
  storeInUse,
} from '../../src/database/barrier.ts';
import { DatabaseOutbox, recordNames } from '../../src/database/outbox.ts';
import type { LinkListener, RedisLink } from '../../src/redis/link.ts';
import type { ClaimPort } from '../../src/redis/claim.ts';
import type { RedisStoreOptions } from '../../src/redis/store.ts';
import { itemKey, list, namesAffectedBy, segmentKey, valueOf } from './data.ts';
import type { DatabaseService } from './database/service.ts';
import { type DatabaseOptions, SimulatedDatabase } from './database/simulated-database.ts';
import { statements } from './database/statements.ts';
import { describeCommand } from './describe-command.ts';
import { Host } from './host.ts';
import type { Flags } from './mutation.ts';
import { MutableStore, withValueBeforeVersion } from './mutable-store.ts';
import type { RedisService } from './redis/service.ts';
import { metaOf, SimulatedList } from './simulated-list.ts';
import { SimulatedLink } from './redis/simulated-link.ts';
import { limits, type Scenario } from './scenario.ts';

/** The real engine over the real store in a simulated process. */
export class Instance {
  readonly host: Host;
  readonly cache: Cache;
  readonly store: MutableStore;
  readonly database: SimulatedDatabase;
  readonly links: SimulatedLink[] = [];
  /** When the last recovery began that ended well; in events. */
  recoveredAt = -1;
  /** How many requests are under way. */
  pending = 0;
  readonly #surroundings: Surroundings;
  readonly #reading = new Map<Key, Promise<Answer>>();
  readonly #composition: Composition;
  #pauses = 0;

  constructor(name: string, surroundings: Surroundings) {
    const { redis, database, scenario, flags } = surroundings;
    const { timeline, random } = redis;
    this.#surroundings = surroundings;
    this.host = new Host(name, timeline, random);
    this.database = new SimulatedDatabase(this.host, database, {
      ...limits,
      delayMs: scenario.databaseDelayMs,
      deadlocks: scenario.deadlocks,
      slowCommits: scenario.slowCommits,
      replicas: scenario.replicas,
      onLoad: surroundings.onLoad,
      position: () => database.position,
      valueOf,
      onConnect: () => undefined,
    });
    this.store = new MutableStore(this.#storeOptions(), name, flags);
    this.cache = new Cache(this.store, this.#outbox(), this.host.clock, {
      leaseMs: scenario.leaseMs,
      fenceMs: limits.fenceMs,
      withoutStore: scenario.withoutStore,
      memoryBytes: scenario.memoryBytes,
      auditShare: scenario.auditShare,
      sweepMs: scenario.sweepMs,
    });
    const looksOnce = (blind: boolean): void => void (this.store.isBlind = blind && flags.looksOnce);
    this.#composition = this.cache.composition(
      new SimulatedList(this.database, surroundings.ttlMs, { looksOnce, trustsMeta: flags.trustsComposed }),
    );
    this.store.connect();
  }

  #storeOptions(): RedisStoreOptions {
    const { redis, flags } = this.#surroundings;
    return {
      ...limits,
      reach: { kind: 'one', openLink: (name, listener) => this.#openLink(name, listener) },
      subscribe: (channel, heard) => redis.subscribe(channel, (text) => void this.host.after(0, () => heard(text))),
      clock: this.host.clock,
      recover: async (wanted) => {
        const began = this.host.timeline.events;
        if (!flags.noSweepBeforeTrust) await this.cache.sweep(wanted);
        this.recoveredAt = began;
      },
      barrier: flags.noBarrier ? async () => true : () => passBarrier(this.database),
      claim: this.#claim(),
      origin: () => this.database.origin,
    };
  }

  #outbox(): Outbox {
    const outbox = new DatabaseOutbox(this.database);
    if (!this.#surroundings.flags.sweepsAnywhere) return outbox;
    return {
      record: (names) => outbox.record(names),
      isInUse: (run) => outbox.isInUse(run),
      sweep: (invalidate) => outbox.sweep(async (names) => ({ ...(await invalidate(names)), run: undefined })),
    };
  }

  #claim(): ClaimPort {
    let own = '0';
    return {
      make: async (run) => {
        const claim = await claimRun(this.database, run);
        own = claim.generation;
        this.#surroundings.log(() => `${this.host.name} claims ${run}: ${own}`);
        return claim;
      },
      read: async () => {
        const claim = await readClaim(this.database);
        this.#surroundings.log(() => `${this.host.name} finds the claim of ${claim.run}: ${claim.generation}`);
        return this.#surroundings.flags.ignoresClaimNumber ? { ...claim, generation: own } : claim;
      },
      settle: (generation) => settleClaim(this.database, generation),
    };
  }

  #openLink(name: string, listener: LinkListener): RedisLink {
    const { redis, scenario, flags, log } = this.#surroundings;
    const link = new SimulatedLink(name, this.host, redis, listener, {
      connectTimeoutMs: limits.connectTimeoutMs,
      delayMs: scenario.redisDelayMs,
      describe: describeCommand,
      log,
    });
    this.links.push(link);
    return flags.valueBeforeVersion ? withValueBeforeVersion(link) : link;
  }

  read(key: Key): Promise<Answer> {
    const { flags } = this.#surroundings;
    const current = this.#reading.get(key);
    if (flags.lateJoin && current !== undefined) return current;
    const reading = this.#readEitherWay(key).finally(() => this.#reading.delete(key));
    if (flags.lateJoin) this.#reading.set(key, reading);
    return reading;
  }

  /** As the HTTP server does it, whose log of requests is off on some instances: the short way first. */
  #readEitherWay(key: Key): Promise<Answer> {
    const load = (since?: Since): Promise<Loaded> => this.#load(key, since);
    const composition = key === list && this.#surroundings.scenario.composed ? this.#composition : undefined;
    if (this.host.random.chance(0.5)) return this.cache.read(key, load, composition);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const goOn = (): void => resolve(this.cache.read(key, load, composition));
    const reader: FastReader = {
      hit: ({ value, meta }, ttlMs) => resolve({ value, meta, outcome: { kind: 'hit', ttlMs }, collapsed: false }),
      miss: goOn,
    };
    const isAsked = this.cache.readFast(key, load, reader, composition);
    if (!isAsked) goOn();
    return promise;
  }

  async #load(key: Key, since: Since | undefined): Promise<Loaded> {
    const { rows, position } = await this.database.load(statements.read, [key], since);
    const text = String(rows[0]?.[0]);
    return { value: Buffer.from(text), meta: metaOf(text), ttlMs: this.#surroundings.ttlMs(), position };
  }

  /** As `src/resources/writer.ts` does it: `change` says what the row is to be, `undefined` for no change. */
  async write(
    row: string,
    change: (before: string | null) => string | null | undefined,
  ): Promise<string | null | undefined> {
    return await this.cache.write((beforeCommit, committedAt) =>
      this.database.transaction(
        async (transaction, opened) => {
          const claim = await holdBarrier(transaction, this.database.dialect, opened);
          const inUse = this.#surroundings.flags.trustsUnsettledClaim ? claim.run : storeInUse(claim);
          const [[before] = []] = await transaction.query(statements.lock, [row]);
          const created = before === null;
          const after = change(created ? null : String(before));
          if (after === undefined) return undefined;
          await transaction.execute(statements.write, [row, after, this.host.name]);
          const names = namesAffectedBy(row);
          const forgets = this.#surroundings.flags.forgetsNegativeEntry && created;
          const forgotten = forgets
            ? itemKey(row)
            : this.#surroundings.flags.forgetsSegment
              ? segmentKey(row)
              : undefined;
          const affected = names.filter((name) => name !== forgotten);
          await beforeCommit(affected, (missed) => recordNames(transaction, missed), inUse);
          this.#surroundings.onFenced(this);
          return after;
        },
        { opening: barrierOpening(this.database.dialect), committedAt },
      ),
    );
  }

  async invalidate(names: readonly KeyName[]): Promise<void> {
    await this.cache.invalidate(names);
  }

  /** SIGKILL: nothing of it goes on, but what is on its way to the servers. */
  kill(): void {
    this.host.kill();
    for (const link of this.links) link.die();
    this.database.cut(0);
    void this.database.close();
  }

  /** SIGSTOP for a while. */
  pause(ms: number): void {
    this.#pauses += 1;
    if (this.#pauses <= limits.mostPauses) this.host.pause(ms);
  }

  async close(): Promise<void> {
    const closing = this.cache.close();
    await this.store.close();
    await closing;
    await this.database.close();
  }
}

export interface Surroundings {
  readonly redis: RedisService;
  readonly database: DatabaseService;
  readonly scenario: Scenario;
  readonly flags: Flags;
  readonly log: (line: () => string) => void;
  readonly ttlMs: () => number;
  readonly onLoad: DatabaseOptions['onLoad'];
  /** The moment before a COMMIT, when most can go wrong. */
  readonly onFenced: (instance: Instance) => void;
}
