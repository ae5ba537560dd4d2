import type { Key, KeyName } from '../../src/cache/key.ts';
import type {
  Acquired,
  AcquireOptions,
  Commit,
  Entry,
  Fill,
  Filled,
  Found,
  VersionClaim,
} from '../../src/cache/store.ts';
import type { RedisLink } from '../../src/redis/link.ts';
import { sumOf } from '../../src/redis/seal.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/redis/store.ts';
import { segmentPrefix } from './data.ts';
import type { Flags } from './mutation.ts';

/** The real store, with tokens that a seed repeats; and with a guard taken out, where a mutation says so. */
export class MutableStore extends RedisStore {
  readonly #name: string;
  readonly #flags: Flags;
  readonly #held = new Map<Key, string>();
  readonly #answered = new Map<Key, string>();
  #tokens = 0;
  /** A mutation: versions of segments are not looked up again. */
  isBlind = false;

  constructor(options: RedisStoreOptions, name: string, flags: Flags) {
    super(options);
    this.#name = name;
    this.#flags = flags;
  }

  override unique(): string {
    this.#tokens += 1;
    return this.#flags.versionsReused ? String(this.#tokens % 3) : `${this.#name}-${this.#tokens}`;
  }

  override async validate(key: Key): Promise<string | null> {
    const composed = this.#answered.get(key);
    this.#answered.delete(key);
    const blind = this.#flags.noValidation || (this.isBlind && key.startsWith(segmentPrefix));
    return composed ?? (blind ? this.#held.get(key) : undefined) ?? (await super.validate(key));
  }

  override async acquire(key: Key, leaseMs: number, options?: AcquireOptions): Promise<Acquired> {
    const acquired = await super.acquire(key, leaseMs, options);
    if (acquired.kind === 'version' && this.#flags.trustsComposed) this.#answered.set(key, acquired.entry.version);
    if (acquired.kind !== 'lease' || !this.#flags.positionsOfAnyClaim) return acquired;
    const position = /[^.?]+ \d+$/.exec(acquired.since.mark)?.[0];
    return { ...acquired, since: { ...acquired.since, position } };
  }

  override async confirm(
    claims: readonly VersionClaim[],
    tell: (at: number, isCurrent: boolean | undefined) => void,
  ): Promise<void> {
    if (!this.#flags.heldReadsUnasked) return await super.confirm(claims, tell);
    for (const at of claims.keys()) tell(at, true);
  }

  override async read(key: Key): Promise<Entry | null> {
    const entry = await super.read(key);
    if (entry !== null) this.#held.set(key, entry.version);
    return entry;
  }

  override async readAll(keys: readonly Key[], tell: (at: number, found: Found) => void): Promise<void> {
    await super.readAll(keys, (at, found) => {
      const key = keys[at];
      if (typeof found === 'object' && key !== undefined) this.#held.set(key, found.version);
      tell(at, found);
    });
  }

  override async fill(key: Key, token: string, fill: Fill): Promise<Filled> {
    const filled = await super.fill(key, token, fill);
    if (filled.stored) this.#held.set(key, token);
    return fill.value === null && this.#flags.trustsTorn ? { stored: true } : filled;
  }

  override async release(names: readonly KeyName[], token: string, committed?: Commit): Promise<void> {
    const released = super.release(names, token, committed);
    if (this.#flags.acknowledgesBeforeRelease) released.catch(() => undefined);
    else await released;
  }
}

/**
 * A mutation: the value is read first, then its version, and nobody looks whether that was the version before. The checksum, which
 * would tell as well, is made to fit.
 */
export function withValueBeforeVersion(link: RedisLink): RedisLink {
  return {
    get runId() {
      return link.runId;
    },
    connect: () => link.connect(),
    reconnect: (reason) => link.reconnect(reason),
    close: () => link.close(),
    send: async (deadlineMs, commands) => {
      const [version, value, ttl, again] = commands;
      if (version?.[0] !== 'HMGET' || value === undefined || ttl === undefined || again === undefined) {
        return await link.send(deadlineMs, commands);
      }
      const [bytes = null, left = null, fields = null] = await link.send(deadlineMs, [value, ttl, version]);
      if (!Array.isArray(fields) || !Buffer.isBuffer(bytes)) return [fields, bytes, left, null];
      const [first = null, meta = null, loadMs = null] = fields;
      const place = { guard: String(version[1]), suffix: String(version[2]).slice('version'.length) };
      const sum = Buffer.from(sumOf(place, String(first), bytes));
      return [[first, meta, loadMs, sum], bytes, left, first];
    },
  };
}
