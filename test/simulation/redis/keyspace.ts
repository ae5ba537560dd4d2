import { RedisError } from './reply.ts';

type Stored = (
  | { readonly kind: 'string'; text: string }
  | { readonly kind: 'hash'; readonly fields: Map<string, string> }
) & {
  expiresAt: number;
};

/** What a Redis server holds: strings and hashes, each with an expiry or without. Times are in milliseconds. */
export class Keyspace {
  #entries = new Map<string, Stored>();

  /** The keys that are there, in the order of their making. */
  keys(now: number): string[] {
    return [...this.#entries.keys()].filter((key) => this.#get(key, now) !== undefined);
  }

  text(key: string, now: number): string | null {
    const stored = this.#get(key, now);
    if (stored === undefined) return null;
    if (stored.kind !== 'string') throw wrongType();
    return stored.text;
  }

  /** A hash that may be read, `undefined` when there is none. */
  hash(key: string, now: number): ReadonlyMap<string, string> | undefined {
    return this.#hash(key, now);
  }

  setText(key: string, text: string, expiresAt = Number.POSITIVE_INFINITY): void {
    this.#entries.set(key, { kind: 'string', text, expiresAt });
  }

  /** Returns how many fields are new. */
  setFields(key: string, fields: readonly (readonly [string, string])[], now: number): number {
    let hash = this.#hash(key, now);
    if (hash === undefined) {
      hash = new Map();
      this.#entries.set(key, { kind: 'hash', fields: hash, expiresAt: Number.POSITIVE_INFINITY });
    }
    const before = hash.size;
    for (const [field, value] of fields) hash.set(field, value);
    return hash.size - before;
  }

  /** Returns how many there were; a hash that is empty is gone. */
  deleteFields(key: string, names: readonly string[], now: number): number {
    const hash = this.#hash(key, now);
    if (hash === undefined) return 0;
    const deleted = names.filter((name) => hash.delete(name)).length;
    if (hash.size === 0) this.#entries.delete(key);
    return deleted;
  }

  delete(key: string, now: number): boolean {
    return this.#get(key, now) !== undefined && this.#entries.delete(key);
  }

  /** Milliseconds to live, -1 without an expiry, -2 without a key. */
  ttl(key: string, now: number): number {
    const stored = this.#get(key, now);
    if (stored === undefined) return -2;
    return stored.expiresAt === Number.POSITIVE_INFINITY ? -1 : stored.expiresAt - now;
  }

  expireAt(key: string, at: number, now: number): boolean {
    const stored = this.#get(key, now);
    if (stored === undefined) return false;
    stored.expiresAt = at;
    return true;
  }

  clear(): void {
    this.#entries.clear();
  }

  copy(): Keyspace {
    const copy = new Keyspace();
    for (const [key, stored] of this.#entries) {
      const own = stored.kind === 'hash' ? { ...stored, fields: new Map(stored.fields) } : { ...stored };
      copy.#entries.set(key, own);
    }
    return copy;
  }

  /** The expiry times are absolute on the wall clock, also when a snapshot is loaded by a server whose clock is another. */
  #get(key: string, now: number): Stored | undefined {
    const stored = this.#entries.get(key);
    if (stored !== undefined && stored.expiresAt <= now) {
      this.#entries.delete(key);
      return undefined;
    }
    return stored;
  }

  #hash(key: string, now: number): Map<string, string> | undefined {
    const stored = this.#get(key, now);
    if (stored === undefined) return undefined;
    if (stored.kind !== 'hash') throw wrongType();
    return stored.fields;
  }
}

function wrongType(): RedisError {
  return new RedisError('WRONGTYPE Operation against a key holding the wrong kind of value');
}
