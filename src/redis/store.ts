import { randomBytes } from 'node:crypto';
import { publish } from '../cache/channels.ts';
import { type Key, type KeyName, splitKey } from '../cache/key.ts';
import {
  type Acquired,
  type CacheStore,
  type Entry,
  type Fill,
  type Filled,
  StoreUnavailable,
} from '../cache/store.ts';
import { describeError } from '../errors.ts';
import { DeadlineExceeded, RedisConnection, type RedisConnectionOptions } from './connection.ts';
import * as scripts from './scripts.ts';
import { asBuffer, asNumber, asText, type Place } from './scripts.ts';

/**
 * The store on a Redis server.
 *
 * Two connections, so that a value of megabytes never stands in front of the few bytes that validate a hit. Both must
 * reach the same run of the same server; else nothing is trusted. States:
 *
 *   down -> recovering   both connections are up: they must answer, and what the outbox holds is invalidated first
 *   recovering -> trusted
 *   trusted -> recovering   a fence or a release failed: what was to be deleted may still be there; or several commands in
 *                        a row missed their deadline (a circuit breaker: nobody waits for a server that hangs, until it
 *                        answers a ping)
 *   any -> down          either connection is lost
 *
 * Reads, leases and fills need `trusted`. Fences and releases only need the connection: they take trust away, and a
 * write that begins while the outbox is still being swept must not be missed by it.
 */
export class RedisStore implements CacheStore {
  readonly #options: RedisStoreOptions;
  readonly #commands: RedisConnection;
  readonly #values: RedisConnection;
  readonly #tokens = randomBytes(9).toString('base64url');
  #validations: Validation[] = [];
  #count = 0;
  /** Counts the times of being up, so that a recovery that ends after its connection can be told. */
  #epoch = 0;
  #trusted = false;
  /** A deletion failed since the last sweep of the outbox began: that sweep may not have seen its names. */
  #inDoubt = false;
  #downReason: string | undefined = 'not connected yet';
  #closed = false;
  /** How many commands in a row were not answered in time. */
  #missed = 0;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    const listener = { up: () => void this.#recover(), down: (reason: string) => this.#goDown(reason) };
    this.#commands = new RedisConnection({ ...options.connection, name: 'energex-cache-commands' }, listener);
    this.#values = new RedisConnection({ ...options.connection, name: 'energex-cache-values' }, listener);
  }

  /** Begins to connect; returns at once. Until the store is trusted its calls reject with `StoreUnavailable`. */
  connect(): void {
    this.#commands.connect();
    this.#values.connect();
  }

  /** Why the store is not trusted; `undefined` when it is. */
  get downReason(): string | undefined {
    return this.#trusted ? undefined : this.#downReason;
  }

  /** All validations asked for before the next microtask go out together: one write, one read, one timer. */
  validate(key: Key): Promise<string | null> {
    return new Promise((resolve, reject) => {
      this.#validations.push({ place: placeOf(key), resolve, reject });
      if (this.#validations.length === 1) queueMicrotask(() => void this.#validateTogether());
    });
  }

  async #validateTogether(): Promise<void> {
    const batch = this.#validations;
    this.#validations = [];
    try {
      await this.#onTrusted(this.#commands, this.#options.timeoutMs, async (client, runId) => {
        const pipeline = client.pipeline();
        for (const { place } of batch) pipeline.hget(place.guard, `version${place.suffix}`);
        const replies = await pipeline.exec();
        for (const [index, validation] of batch.entries()) {
          validation.resolve(trustedVersion(replyAt(replies, index), runId));
        }
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  async read(key: Key): Promise<Entry | null> {
    const { value, guard, suffix } = placeOf(key);
    return await this.#onTrusted(this.#values, this.#options.bulkTimeoutMs, async (client, runId) => {
      const replies = await client
        .pipeline()
        .hmget(guard, `version${suffix}`, `meta${suffix}`, `load_ms${suffix}`)
        .getBuffer(value)
        .pttl(value)
        .hget(guard, `version${suffix}`)
        .exec();
      const before = replyAt(replies, 0);
      const [first, meta, loadMs] = Array.isArray(before) ? before : [];
      const version = trustedVersion(first, runId);
      const bytes = replyAt(replies, 1);
      // A version that changed meanwhile: the value would be right, but the meta might belong to another one.
      if (version === null || bytes === null || replyAt(replies, 3) !== version) return null;
      const ttlMs = asNumber(replyAt(replies, 2));
      return ttlMs <= 0
        ? null
        : { version, meta: asText(meta ?? ''), loadMs: Number(loadMs ?? 0), value: asBuffer(bytes), ttlMs };
    });
  }

  async acquire(key: Key, leaseMs: number, renew = false): Promise<Acquired> {
    return await this.#onTrusted(this.#values, this.#options.bulkTimeoutMs, (client, runId) => {
      const token = `${runId}.${this.unique()}`;
      return scripts.acquire(client, placeOf(key), { runId, token, leaseMs, maxFields: mostGuardFields, renew });
    });
  }

  async fill(key: Key, token: string, fill: Fill): Promise<Filled> {
    return await this.#onTrusted(this.#values, this.#options.bulkTimeoutMs, (client) =>
      scripts.fill(client, placeOf(key), { token, ...fill }),
    );
  }

  async surrender(key: Key, token: string): Promise<void> {
    await this.#onTrusted(this.#commands, this.#options.timeoutMs, (client) =>
      scripts.surrender(client, placeOf(key), token),
    );
  }

  async fence(names: readonly KeyName[], token: string, fenceMs: number): Promise<void> {
    await this.#onEach(names, (client, place) => scripts.fence(client, place, token, fenceMs));
  }

  async release(names: readonly KeyName[], token: string): Promise<void> {
    await this.#onEach(names, (client, place) => scripts.release(client, place, token));
  }

  unique(): string {
    this.#count += 1;
    return `${this.#tokens}${this.#count.toString(36)}`;
  }

  async ping(): Promise<void> {
    await this.#ask(this.#commands);
  }

  async #ask(connection: RedisConnection): Promise<void> {
    await connection.send(this.#options.timeoutMs, (client) => client.ping());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#commands.close();
    this.#values.close();
  }

  async #onTrusted<T>(connection: RedisConnection, deadlineMs: number, commands: Commands<T>): Promise<T> {
    if (!this.#trusted) throw new StoreUnavailable(`Redis is not in use: ${this.#downReason}`);
    try {
      const result = await connection.send(deadlineMs, commands);
      this.#missed = 0;
      return result;
    } catch (error) {
      if (error instanceof DeadlineExceeded) this.#countMiss(error);
      throw error;
    }
  }

  #countMiss({ message }: DeadlineExceeded): void {
    this.#missed += 1;
    if (this.#missed < mostMisses || !this.#trusted) return;
    this.#goDown(`${message}, ${mostMisses} times in a row`);
    void this.#recover();
  }

  async #onEach(names: readonly KeyName[], step: (client: Client, place: Place) => Promise<void>): Promise<void> {
    try {
      await this.#commands.send(this.#options.timeoutMs, async (client) => {
        await Promise.all(names.map((name) => step(client, placeOf(name))));
      });
    } catch (error) {
      // The server may still answer reads (a demoted master does, or one that cannot save): with what it could not delete.
      this.#inDoubt = true;
      if (this.#trusted) {
        this.#goDown(`a deletion failed: ${describeError(error)}`);
        void this.#recover();
      }
      throw error;
    }
  }

  /** Runs at every sign that a connection is up; goes through with it once both are, at the same run. */
  async #recover(): Promise<void> {
    const { runId } = this.#commands;
    const other = this.#values.runId;
    if (this.#trusted || runId === undefined || other === undefined) return;
    if (runId !== other) {
      // One of them was made before a failover: connecting anew brings both to the same server.
      this.#downReason = 'the two connections reached different servers';
      this.#commands.reconnect();
      this.#values.reconnect();
      return;
    }
    this.#epoch += 1;
    const epoch = this.#epoch;
    for (;;) {
      const reason = await this.#tryToRecover();
      if (epoch !== this.#epoch || this.#closed) return;
      if (reason === undefined) break;
      this.#stayDown(reason);
      await new Promise((resolve) => setTimeout(resolve, recoverRetryMs).unref());
    }
    this.#trusted = true;
    this.#missed = 0;
    publish({ type: 'store', up: true, reason: `run ${runId}` });
  }

  /** `undefined`, or why the store cannot be trusted yet. */
  async #tryToRecover(): Promise<string | undefined> {
    try {
      await Promise.all([this.#ask(this.#commands), this.#ask(this.#values)]);
    } catch (error) {
      return describeError(error);
    }
    this.#inDoubt = false;
    try {
      await this.#options.recover();
    } catch (error) {
      return `what changed meanwhile could not be invalidated yet (${describeError(error)})`;
    }
    return this.#inDoubt ? 'a deletion failed meanwhile' : undefined;
  }

  #goDown(reason: string): void {
    this.#epoch += 1;
    this.#stayDown(reason);
  }

  /** Says so once for each reason. */
  #stayDown(reason: string): void {
    const known = !this.#trusted && this.#downReason === reason;
    this.#trusted = false;
    this.#downReason = reason;
    if (!known && !this.#closed) publish({ type: 'store', up: false, reason });
  }
}

export interface RedisStoreOptions {
  readonly connection: Omit<RedisConnectionOptions, 'name'>;
  /** Deadline of a command of a few bytes, in milliseconds. */
  readonly timeoutMs: number;
  /** Deadline of a command that may carry a large value, in milliseconds. */
  readonly bulkTimeoutMs: number;
  /** Invalidates what changed while the store was out of reach; the store is trusted once it resolves. */
  readonly recover: () => Promise<void>;
}

type Client = Parameters<Parameters<RedisConnection['send']>[1]>[0];
type Commands<T> = (client: Client, runId: string) => Promise<T>;

interface Validation {
  readonly place: Place;
  readonly resolve: (version: string | null) => void;
  readonly reject: (error: unknown) => void;
}

/** A guard that has this many fields forgets the parts it guards: 3 to 5 fields a part, a hash of some 100 KB. */
const mostGuardFields = 1_500;
const recoverRetryMs = 500;
const mostMisses = 3;

function placeOf(key: Key): Place {
  const { name, part } = splitKey(key);
  const guard = `{${name}}:guard`;
  return part === ''
    ? { value: name, guard, suffix: '' }
    : { value: `{${name}}:part:${part}`, guard, suffix: `#${part}` };
}

/** A version given out under another run of a server is none. */
function trustedVersion(reply: unknown, runId: string): string | null {
  return typeof reply === 'string' && reply.startsWith(`${runId}.`) ? reply : null;
}

/** The reply to command `index` of a pipeline; throws the error reply it may be. */
function replyAt(replies: [Error | null, unknown][] | null, index: number): unknown {
  const [error, reply] = replies?.[index] ?? [new Error('the pipeline was not executed'), null];
  if (error !== null) throw error;
  return reply;
}
