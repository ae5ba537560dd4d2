import type { Key, KeyName } from '../../src/cache/key.ts';
import type { Entry, Fill, Filled } from '../../src/cache/store.ts';
import type { RedisLink } from '../../src/redis/link.ts';
import { RedisStore, type RedisStoreOptions } from '../../src/redis/store.ts';
import type { Flags } from './mutation.ts';

/** The real store, with tokens that a seed repeats; and with a guard taken out, where a mutation says so. */
export class MutableStore extends RedisStore {
  readonly #name: string;
  readonly #flags: Flags;
  readonly #held = new Map<Key, string>();
  #tokens = 0;

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
    const held = this.#flags.noValidation ? this.#held.get(key) : undefined;
    return held ?? (await super.validate(key));
  }

  override async read(key: Key): Promise<Entry | null> {
    const entry = await super.read(key);
    if (entry !== null) this.#held.set(key, entry.version);
    return entry;
  }

  override async fill(key: Key, token: string, fill: Fill): Promise<Filled> {
    const filled = await super.fill(key, token, fill);
    if (filled.stored) this.#held.set(key, token);
    return filled;
  }

  override async release(names: readonly KeyName[], token: string): Promise<void> {
    const released = super.release(names, token);
    if (this.#flags.acknowledgesBeforeRelease) released.catch(() => undefined);
    else await released;
  }
}

/** A mutation: the value is read first, then its version, and nobody looks whether that was the version before. */
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
      const first = Array.isArray(fields) ? fields[0] : null;
      return [fields, bytes, left, first];
    },
  };
}
