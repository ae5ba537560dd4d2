import type { Key } from '../cache/key.ts';
import { StoreUnavailable } from '../cache/store.ts';
import type { RedisAddress } from '../config.ts';
import { withDeadline } from '../deadline.ts';
import { describeError } from '../errors.ts';
import type { Command, OpenLink, RedisLink, Reply } from './link.ts';
import { fenceTable, type Place, placesWith, slotNameOf } from './place.ts';
import { type Reach, reachRedis } from './reach.ts';
import { fenceTableOf, nodeName, parseSlots, slotOf, type SlotRange } from './slots.ts';

/**
 * The Redis of the configuration, to look at and nothing else: no claim, no barrier, no sweep, and nothing is trusted. Who
 * looks at the wrong server does no harm.
 */
export class Lookout {
  readonly #reach: Reach;
  readonly #options: LookoutOptions;
  readonly #sights = new Map<string, Promise<Sight>>();
  readonly #links: RedisLink[] = [];
  #slots: Promise<readonly SlotRange[]> | undefined;
  /** What all keys begin with. */
  readonly prefix: string;
  readonly placeOf: (key: Key) => Place;

  constructor(address: RedisAddress, options: LookoutOptions) {
    this.#options = options;
    ({ reach: this.#reach } = reachRedis(address, options.connectTimeoutMs));
    this.prefix = this.#reach.prefix ?? '';
    const fencesOf = (name: string): string => (this.#reach.kind === 'one' ? fenceTable : fenceTableOf(slotOf(name)));
    this.placeOf = placesWith(this.prefix, fencesOf);
  }

  /** The names of all masters: `''` for one server. Rejects with `StoreUnavailable` when no node of a cluster tells them. */
  async names(): Promise<readonly string[]> {
    if (this.#reach.kind === 'one') return [''];
    return [...new Set((await this.slots()).map(({ master }) => master))];
  }

  /** Which master of the cluster has which slots; none for one server. */
  slots(): Promise<readonly SlotRange[]> {
    this.#slots ??= this.#findSlots();
    return this.#slots;
  }

  /** One of the masters, by name. Rejects with `StoreUnavailable` and why it cannot be reached. */
  see(name: string): Promise<Sight> {
    const known = this.#sights.get(name);
    if (known !== undefined) return known;
    const sight = this.#open(this.#reach.kind === 'one' ? this.#reach.openLink : this.#reach.openNode(name));
    this.#sights.set(name, sight);
    return sight;
  }

  /** The master that has the key. */
  async seeKey(key: Key): Promise<Sight> {
    if (this.#reach.kind === 'one') return await this.see('');
    const slot = slotOf(slotNameOf(this.placeOf(key).guard));
    const range = (await this.slots()).find(({ first, last }) => first <= slot && slot <= last);
    if (range === undefined) throw new StoreUnavailable(`no node of the cluster has slot ${slot}`);
    return await this.see(range.master);
  }

  close(): void {
    for (const link of this.#links) link.close();
  }

  /** Any node tells of all. */
  async #findSlots(): Promise<readonly SlotRange[]> {
    if (this.#reach.kind === 'one') return [];
    const reasons: string[] = [];
    for (const { host, port } of this.#reach.nodes) {
      try {
        const sight = await this.see(nodeName(host, port));
        return parseSlots(await sight.ask(['CLUSTER', 'SLOTS']), host);
      } catch (error) {
        reasons.push(`${nodeName(host, port)}: ${describeError(error)}`);
      }
    }
    throw new StoreUnavailable(reasons.join('; '));
  }

  /** The first thing that happens decides: a link by itself would try for ever. */
  async #open(openLink: OpenLink): Promise<Sight> {
    const { connectTimeoutMs, timeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const link = openLink('lookout', {
      up: resolve,
      down: (reason) => reject(new StoreUnavailable(reason)),
    });
    this.#links.push(link);
    link.connect();
    await withDeadline(connectTimeoutMs, promise, () => {
      throw new StoreUnavailable(`no connection within ${connectTimeoutMs} ms`);
    });
    const askAll = (commands: readonly Command[]): Promise<readonly Reply[]> => link.send(timeoutMs, commands);
    return {
      runId: link.runId ?? '',
      askAll,
      ask: async (command) => (await askAll([command]))[0] ?? null,
    };
  }
}

/** One server that is looked at. */
export interface Sight {
  /** See `run.ts`. */
  readonly runId: string;
  ask(command: Command): Promise<Reply>;
  /** In one go; rejects with `StoreUnavailable` when any of them is answered with an error. */
  askAll(commands: readonly Command[]): Promise<readonly Reply[]>;
}

export interface LookoutOptions {
  readonly connectTimeoutMs: number;
  /** Deadline of each question, in milliseconds. */
  readonly timeoutMs: number;
}
