import { type Clock, pause } from './clock.ts';
import type { Key } from './key.ts';
import type { Bytes } from './rope.ts';
import type { CacheStore } from './store.ts';

/**
 * Other programs read the string under a key too. Of a value that was put together it is written once nobody has changed the
 * value for a while: what changes more often would cost more to write than it is worth.
 */
export class Attachments {
  readonly #store: CacheStore;
  readonly #clock: Clock;
  /** The version that was filled last here, by key. */
  readonly #waiting = new Map<Key, string>();

  constructor(store: CacheStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Never rejects. */
  async attachWhenQuiet(key: Key, version: string, value: Bytes): Promise<void> {
    if (value.length > mostBytes) return;
    this.#waiting.set(key, version);
    await pause(this.#clock, Math.max(leastQuietMs, (value.length / bytesASecond) * 1_000));
    if (this.#waiting.get(key) !== version) return;
    this.#waiting.delete(key);
    // A store that is away just now: the version does without.
    await this.#store.attach(key, version, value).catch(() => undefined);
  }
}

const leastQuietMs = 500;
/** A second for so many bytes. */
const bytesASecond = 2 * 1024 * 1024;
/** Redis holds strings of up to 512 MB. */
const mostBytes = 256 * 1024 * 1024;
