import { randomBytes } from 'node:crypto';
import type { Key, KeyName } from '../cache/key.ts';
import { Notices } from '../cache/notices.ts';
import type { Acquired, CacheStore, Entry, Fill, Filled } from '../cache/store.ts';
import type { Command, Reply, Subscribe } from './link.ts';
import { type Place, placeOf } from './place.ts';
import * as scripts from './scripts.ts';
import { asArray, asBuffer, asNumber, asText } from './scripts.ts';
import { TrustedServer, type TrustedServerOptions } from './server.ts';
import { Validations } from './validations.ts';

/** The store on a Redis server: each step is one script or one pipeline. When the server can be trusted says `server.ts`. */
export class RedisStore implements CacheStore {
  readonly #server: TrustedServer;
  readonly #subscribe: Subscribe;
  readonly #tokens = randomBytes(9).toString('base64url');
  readonly #notices = new Notices();
  readonly #channel = `energex:wake:${this.#tokens}`;
  readonly #validations = new Validations((places) => this.#validateAll(places));
  #unsubscribe = (): void => undefined;
  #count = 0;

  constructor(options: RedisStoreOptions) {
    this.#subscribe = options.subscribe;
    this.#server = new TrustedServer({ ...options, unique: () => this.unique() });
  }

  /** Begins to connect; returns at once. Until the store is trusted its calls reject with `StoreUnavailable`. */
  connect(): void {
    this.#unsubscribe = this.#subscribe(this.#channel, (guard) => this.#notices.wake(guard));
    this.#server.connect();
  }

  /** Why the store is not trusted; `undefined` when it is. */
  get downReason(): string | undefined {
    return this.#server.downReason;
  }

  validate(key: Key): Promise<string | null> {
    return this.#validations.ask(placeOf(key));
  }

  async #validateAll(places: readonly Place[]): Promise<(string | null)[]> {
    return await this.#server.withCommands(async ({ link, deadlineMs, trusted }) => {
      const commands = places.map(({ guard, suffix }): Command => ['HGET', guard, `version${suffix}`]);
      const replies = await link.send(deadlineMs, commands);
      return replies.map((reply) => versionIn(reply, trusted));
    });
  }

  async read(key: Key): Promise<Entry | null> {
    const { value, guard, suffix } = placeOf(key);
    return await this.#server.withValues(async ({ link, deadlineMs, trusted }) => {
      const [before, bytes, ttl, after] = await link.send(deadlineMs, [
        ['HMGET', guard, `version${suffix}`, `meta${suffix}`, `load_ms${suffix}`],
        ['GET', value],
        ['PTTL', value],
        ['HGET', guard, `version${suffix}`],
      ]);
      const [first, meta, loadMs] = asArray(before);
      const version = versionIn(first, trusted);
      // A version that changed meanwhile: the value would be right, but the meta might belong to another one.
      if (version === null || bytes === null || versionIn(after, trusted) !== version) return null;
      const ttlMs = asNumber(ttl);
      if (ttlMs <= 0) return null;
      return { version, meta: asText(meta), loadMs: Number(asText(loadMs)), value: asBuffer(bytes), ttlMs };
    });
  }

  async acquire(key: Key, leaseMs: number, renew = false): Promise<Acquired> {
    const place = placeOf(key);
    // Before it is asked for: the notice may be faster than the answer on the other connection.
    const notice = this.#notices.listen(place.guard);
    let waits = false;
    try {
      const acquired = await this.#acquire(place, leaseMs, renew);
      waits = acquired.kind === 'wait';
      return acquired.kind === 'wait' ? { ...acquired, notice } : acquired;
    } finally {
      if (!waits) notice.close();
    }
  }

  async #acquire(place: Place, leaseMs: number, renew: boolean): Promise<WithoutNotice> {
    for (let attempt = 1; ; attempt += 1) {
      let token = '';
      const reply = await this.#server.withValues((call) => {
        token = call.trusted + this.unique();
        const { trusted } = call;
        const args = { trusted, token, leaseMs, maxFields: mostGuardFields, renew, channel: this.#channel };
        return scripts.acquire(call, place, args);
      });
      if (reply.kind === 'lease') return { kind: 'lease', token };
      if (reply.kind !== 'unsettled') return reply;
      if (attempt > 1 || !(await this.#server.settle(place.fences, reply.epoch))) return { kind: 'bypass' };
    }
  }

  async fill(key: Key, token: string, fill: Fill): Promise<Filled> {
    return await this.#server.withValues(async (call) => {
      // The value was loaded for another run of the server, or from another database.
      if (!token.startsWith(call.trusted)) return { stored: false, reason: 'lease-lost' };
      return await scripts.fill(call, placeOf(key), { token, ...fill });
    });
  }

  async surrender(key: Key, token: string): Promise<void> {
    await this.#server.withCommands((call) => scripts.surrender(call, placeOf(key), token));
  }

  async fence(names: readonly KeyName[], token: string, fenceMs: number): Promise<void> {
    await this.#server.withDeletion((call) => scripts.fence(call, names.map(placeOf), token, fenceMs));
  }

  async release(names: readonly KeyName[], token: string): Promise<void> {
    await this.#server.withDeletion((call) => scripts.release(call, names.map(placeOf), token));
  }

  unique(): string {
    this.#count += 1;
    return `${this.#tokens}${this.#count.toString(36)}`;
  }

  async ping(): Promise<void> {
    await this.#server.ping();
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    this.#server.close();
  }
}

export interface RedisStoreOptions extends Omit<TrustedServerOptions, 'unique'> {
  readonly subscribe: Subscribe;
}

type WithoutNotice = Exclude<Acquired, { kind: 'wait' }> | { readonly kind: 'wait'; readonly remainingMs: number };

/** A guard that has this many fields forgets the parts it guards: 3 to 5 fields a part, a hash of some 100 KB. */
const mostGuardFields = 1_500;

/** A version given out under another run of a server, or for another database, is none. */
function versionIn(reply: Reply | undefined, trusted: string): string | null {
  if (reply === null) return null;
  const version = asText(reply);
  return version.startsWith(trusted) ? version : null;
}
