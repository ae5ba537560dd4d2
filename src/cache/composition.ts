import type { Key } from './key.ts';
import type { HeldEntry } from './memory-tier.ts';
import type { Answer } from './answer.ts';
import type { Load, Loaded } from './read-through.ts';
import { type Since, StoreUnavailable } from './store.ts';

/**
 * A value that is put together from **segments**: entries of their own, each with its own version, lease and fence. A write
 * takes away the segment that it touches and the whole; the whole is then put together again from all the others as they
 * are, so that it costs what has changed and not what there is.
 *
 * Whoever writes to a segment fences the whole with it. That makes a whole out of segments that were read one after the
 * other: when the lease of the whole was not lost (or its version has not changed) from before the first of them was read
 * until after the last, no COMMIT has come in between, and each of them is what it was at one instant. Who looks after that
 * is `read-through.ts`; what is torn is thrown away.
 *
 * While a write is committing there is neither lease nor version to hold on to. Then the versions of the segments serve
 * (`loadBeside`): those that are there are looked up; all others, and which there are, are read in one statement, at the
 * instant of its snapshot; then the versions are looked up again. A segment whose version stands before and after stood at
 * that instant. (Optimistic validation: Kung, Robinson, "On Optimistic Methods for Concurrency Control", TODS 1981.)
 */
export interface Composition {
  /**
   * The value out of segments that are read after the call. It is torn if someone wrote meanwhile; the caller looks.
   * `meta` is that of the version whose bytes are wanted; without it the caller has the lease. `undefined` when the value is
   * to be loaded whole.
   */
  compose(meta: string | undefined): Promise<Composed | undefined>;

  /** The value as committed at one instant after the call, whoever writes meanwhile. */
  loadBeside(): Promise<Loaded>;

  /** The segments that a value with this meta was put together from; `undefined` when it was not. */
  segmentsOf(meta: string): readonly Key[] | undefined;
}

export interface Composed extends Loaded {
  /** No segment had to be loaded. */
  readonly fromCache: boolean;
}

/** Where segments come from, and how they are joined. */
export interface SegmentSource {
  /** The keys of the segments that there are, as committed at some instant after the call; `undefined`: not worth it. */
  segments(): Promise<readonly Key[] | undefined>;
  /** Those that a joined value is made of, by its meta; `undefined` when it is not joined. */
  segmentsOf(meta: string): readonly Key[] | undefined;
  /** See `Load`. */
  loadSegment(key: Key, since?: Since): Promise<Loaded>;
  /** Which segments there are, and those of `keys` with their values: all at one instant after the call. */
  loadTogether(keys: readonly Key[]): Promise<Together>;
  /** See `Load`. */
  loadWhole(since?: Since): Promise<Loaded>;
  /** `segments` are those of `keys`, in the same order. */
  join(keys: readonly Key[], segments: readonly Segment[]): Loaded;
}

export interface Together {
  /** `undefined`: not worth it. */
  readonly keys: readonly Key[] | undefined;
  readonly loaded: ReadonlyMap<Key, Segment>;
}

export interface Segment {
  readonly value: HeldEntry['value'];
  readonly meta: string;
}

/** What the engine does for single keys. */
export interface SegmentReads {
  read(key: Key, load: Load): Promise<Answer>;
  /** What is cached, without loading it; `null` when nothing is. */
  peek(key: Key): Promise<HeldEntry | null>;
  validate(key: Key): Promise<string | null>;
  now(): number;
}

export class SegmentComposition implements Composition {
  readonly #reads: SegmentReads;
  readonly #source: SegmentSource;
  /** The segments that there were when someone looked last. */
  #known: readonly Key[] = [];

  constructor(reads: SegmentReads, source: SegmentSource) {
    this.#reads = reads;
    this.#source = source;
  }

  async compose(meta: string | undefined): Promise<Composed | undefined> {
    const began = this.#reads.now();
    const keys = meta === undefined ? await this.#source.segments() : this.#source.segmentsOf(meta);
    if (keys === undefined) return undefined;
    this.#known = keys;
    const answers = await inWindows(keys, (key) =>
      this.#reads.read(key, (since) => this.#source.loadSegment(key, since)),
    );
    const joined = this.#source.join(keys, answers);
    const hits = answers.flatMap(({ outcome }) => (outcome.kind === 'hit' ? [outcome.ttlMs] : []));
    // The whole may be served no longer than any of its segments.
    const oldest = hits.reduce((least, ttlMs) => Math.min(least, ttlMs), joined.ttlMs - (this.#reads.now() - began));
    return { ...joined, ttlMs: Math.max(1, oldest), fromCache: hits.length === answers.length };
  }

  segmentsOf(meta: string): readonly Key[] | undefined {
    return this.#source.segmentsOf(meta);
  }

  async loadBeside(): Promise<Loaded> {
    try {
      for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
        const loaded = await this.#loadOnce();
        if (loaded === 'whole') break;
        if (loaded !== 'changed') return loaded;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
    return await this.#source.loadWhole();
  }

  async #loadOnce(): Promise<Loaded | 'changed' | 'whole'> {
    const before = new Map<Key, HeldEntry>();
    await inWindows(this.#known, async (key) => {
      const held = await this.#reads.peek(key);
      if (held !== null) before.set(key, held);
    });
    const missing = this.#known.filter((key) => !before.has(key));
    // Where most is gone the whole costs hardly more, and nothing can come in between.
    if (before.size <= missing.length) return 'whole';
    const { keys, loaded } = await this.#source.loadTogether(missing);
    this.#known = keys ?? [];
    if (keys === undefined) return 'whole';
    const segments = keys.map((key) => loaded.get(key) ?? before.get(key));
    if (!segments.every((segment) => segment !== undefined)) return 'changed';
    const kept = keys.filter((key) => !loaded.has(key));
    const after = await Promise.all(kept.map((key) => this.#reads.validate(key)));
    const stand = kept.every((key, index) => after[index] === before.get(key)?.version);
    return stand ? this.#source.join(keys, segments) : 'changed';
  }
}

/** Some at a time: what is asked for at once has to come within one deadline. */
async function inWindows<T>(keys: readonly Key[], ask: (key: Key) => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let from = 0; from < keys.length; from += windowSize) {
    answers.push(...(await Promise.all(keys.slice(from, from + windowSize).map((key) => ask(key)))));
  }
  return answers;
}

const windowSize = 64;
const mostAttempts = 3;
