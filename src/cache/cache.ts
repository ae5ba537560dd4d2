import { Audit } from './audit.ts';
import { publish } from './channels.ts';
import type { Clock } from './clock.ts';
import { type Composition, SegmentComposition, type SegmentSource } from './composition.ts';
import type { FastReader } from './held-reads.ts';
import type { Key, KeyName } from './key.ts';
import { MemoryTier } from './memory-tier.ts';
import type { Outbox } from './outbox.ts';
import type { Answer } from './answer.ts';
import { type Load, ReadThrough } from './read-through.ts';
import { type CacheStore, StoreUnavailable } from './store.ts';
import { traced, writeTrace } from './tracing.ts';
import { type InvalidateOptions, type LiftFence, type Transact, WriteFence } from './write-fence.ts';

/**
 * The door of the engine: read, write, invalidate.
 *
 * The engine keeps one promise: every read answers as if it had asked the database at one instant between its arrival
 * and its answer, on however many instances. Three ideas carry it.
 *
 * - **Versions.** A value is served from this process's memory only after the store has confirmed its version, by a
 *   command of a few bytes. Versions are never reused, and one that was given out under another run of the store is no
 *   version: a restarted or promoted server may hold entries whose deletion it never saw.
 * - **Leases.** Who misses takes a lease, loads, and fills with the lease's token. Any fence or invalidation meanwhile
 *   takes the lease away, so a slow loader cannot store what has become old. The lease also makes it one load per key,
 *   however many ask. (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.)
 * - **Fences.** A writer forbids fills for the affected keys before its COMMIT and allows them again after it. Deleting
 *   only after the commit leaves a gap in which the writer can die; deleting only before lets a reader put the old value
 *   back.
 *
 * `spec/` holds a model of exactly these steps, which is explored to the end. The engine knows keys, versions and bytes; no
 * post, no HTTP, no Redis, no SQL.
 */
export class Cache {
  readonly #store: CacheStore;
  readonly #outbox: Outbox;
  readonly #audit: Audit;
  readonly #clock: Clock;
  readonly #reads: ReadThrough;
  readonly #writes: WriteFence;
  readonly #stopSweeping: () => void;
  #sweeping: Promise<void> | undefined;
  readonly memory: MemoryTier;

  constructor(store: CacheStore, outbox: Outbox, clock: Clock, options: CacheOptions) {
    this.#store = store;
    this.#outbox = outbox;
    this.#clock = clock;
    this.memory = new MemoryTier(options.memoryBytes);
    this.#audit = new Audit(store, clock, options.auditShare);
    this.#reads = new ReadThrough(store, this.memory, this.#audit, clock, options);
    this.#writes = new WriteFence(store, outbox, clock, options);
    this.#stopSweeping = clock.every(options.sweepMs, () => {
      this.#sweeping ??= this.sweep()
        // The rows stay where they are; the next sweep tries again.
        .catch(() => undefined)
        .finally(() => {
          this.#sweeping = undefined;
        });
    });
  }

  /** See `ReadThrough.read`. */
  read(key: Key, load: Load, composition?: Composition): Promise<Answer> {
    return this.#reads.read(key, load, composition);
  }

  /** For `read`: the value is put together from segments where that costs less than to load it. */
  composition(source: SegmentSource): Composition {
    const reads = this.#reads;
    return new SegmentComposition(
      {
        read: (key, load) => reads.read(key, load),
        peek: (key) => reads.peek(key),
        validate: (key) => this.#store.validate(key),
        now: () => this.#clock.now(),
      },
      source,
    );
  }

  /** See `ReadThrough.readFast`. */
  readFast(key: Key, load: Load, reader: FastReader, composition?: Composition): boolean {
    return this.#reads.readFast(key, { load, composition }, reader);
  }

  /** See `WriteFence.write`. */
  write<T>(transact: Transact<T>): Promise<T> {
    return traced(writeTrace, {}, () => this.#writes.write(transact));
  }

  /** See `WriteFence.invalidate`. */
  invalidate(names: readonly KeyName[], options?: InvalidateOptions): Promise<LiftFence> {
    return this.#writes.invalidate(names, options);
  }

  /** See `WriteFence.invalidateAll`. */
  invalidateAll(prefix: string): Promise<void> {
    return this.#writes.invalidateAll(prefix);
  }

  /**
   * Invalidates what waits in the outbox. Called every `sweepMs`, and before a store is trusted after a reconnect: a store
   * that is made of several then says which names are `wanted`. Rejects when one of those could not be invalidated.
   */
  async sweep(wanted: (name: KeyName) => boolean = () => true): Promise<void> {
    let missed = 0;
    const swept = await this.#outbox.sweep(async (names) => {
      const some = names.filter(wanted);
      const { run } = this.#store;
      const done = await this.#invalidateSome(some);
      missed += some.length - done.length;
      return { names: this.#store.run === run ? done : [], run };
    });
    if (swept > 0) publish({ type: 'outbox', swept });
    if (missed > 0) throw new StoreUnavailable(`${missed} names of the outbox could not be invalidated`);
  }

  /** All at once, or one by one where a part of the store is away. Resolves with those that went. */
  async #invalidateSome(names: readonly KeyName[]): Promise<readonly KeyName[]> {
    const invalidate = (some: readonly KeyName[]): Promise<boolean> =>
      this.#store.release(some, this.#store.unique()).then(
        () => true,
        (error: unknown) => {
          if (error instanceof StoreUnavailable) return false;
          throw error;
        },
      );
    if (names.length === 0 || (await invalidate(names))) return names;
    const reached = await Promise.all(names.map((name) => invalidate([name])));
    return names.filter((_, index) => reached[index] === true);
  }

  /** Rejects when the store does not answer. */
  ping(): Promise<void> {
    return this.#store.ping();
  }

  /** Stops the sweep and waits for one that is under way, and for an audit. The store is closed by who made it. */
  async close(): Promise<void> {
    this.#stopSweeping();
    await this.#sweeping;
    await this.#audit.close();
  }
}

export interface CacheOptions {
  readonly leaseMs: number;
  readonly fenceMs: number;
  readonly withoutStore: 'accept' | 'reject';
  /** Bound of the in-process tier. */
  readonly memoryBytes: number;
  /** Share of the hits that is compared with the database in the background, from 0 to 1. */
  readonly auditShare: number;
  /** Period of the outbox sweep, in milliseconds. */
  readonly sweepMs: number;
}
