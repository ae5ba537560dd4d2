import type { Entry, Found } from '../cache/store.ts';
import type { Place } from './place.ts';
import * as scripts from './scripts.ts';
import type { Steps } from './servers.ts';

/**
 * Reads of many keys at once. Short values come from a script, one command for all of them: what a command costs beside the
 * value is most of it. Long ones come each by commands of their own, because Lua would copy them twice; which names have
 * such values is learned.
 */
export class ManyReads {
  readonly #long = new Set<string>();

  /** `one` reads a key the other way. Tells of each; never rejects. */
  async read(server: Steps, places: readonly Place[], one: ReadOne, tell: Tell): Promise<void> {
    const long: number[] = [];
    const short: number[] = [];
    for (const [at, { guard }] of places.entries()) (this.#long.has(guard) ? long : short).push(at);
    const shortOnes = short.map((at) => places[at]).filter((place) => place !== undefined);
    await Promise.all([tellEach(long, one, tell), this.#readShort(server, short, shortOnes, one, tell)]);
  }

  async #readShort(
    server: Steps,
    indices: readonly number[],
    places: readonly Place[],
    one: ReadOne,
    tell: Tell,
  ): Promise<void> {
    if (places.length === 0) return;
    const found = await server.withValues((call) => scripts.read(call, places, shortestLong)).catch(() => undefined);
    const long: number[] = [];
    for (const [nth, at] of indices.entries()) {
      const each = found === undefined ? 'unanswered' : (found[nth] ?? 'unanswered');
      if (each === 'long') this.#learn(places[nth]?.guard ?? '');
      if (each === 'long' || each === 'damaged') {
        // Read by itself a damaged one is taken away.
        long.push(at);
      } else {
        tell(at, each);
      }
    }
    await tellEach(long, one, tell);
  }

  #learn(guard: string): void {
    if (this.#long.size >= mostLearned) this.#long.clear();
    this.#long.add(guard);
  }
}

/** Reads each and tells of it; never rejects. */
export async function tellEach(indices: Iterable<number>, one: ReadOne, tell: Tell): Promise<void> {
  await Promise.all(
    [...indices].map(async (at) => {
      let found: Found;
      try {
        found = (await one(at)) ?? 'absent';
      } catch {
        found = 'unanswered';
      }
      tell(at, found);
    }),
  );
}

type ReadOne = (at: number) => Promise<Entry | null>;
type Tell = (at: number, found: Found) => void;

/** Bytes from which on a value is long. */
const shortestLong = 8 * 1024;
const mostLearned = 1_000;
