import { type Clock, pause } from '../cache/clock.ts';
import type { Key, KeyName } from '../cache/key.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { describeError } from '../errors.ts';
import type { LinkListener, OpenLink, RedisLink, Reply } from './link.ts';
import { type Place, placesWith, slotNameOf } from './place.ts';
import { asking, redirectionIn } from './redirection.ts';
import { TrustedServer } from './server.ts';
import type { TrustedServerOptions } from './server-options.ts';
import type { Servers, Steps } from './servers.ts';
import { fenceTableOf, nodeName, parseSlots, slotCount, slotOf, type SlotRange } from './slots.ts';

/**
 * The masters of a Redis Cluster, each trusted on its own (`server.ts`), and which of them has which slot.
 *
 * Any node tells of all the others. That is asked for at the start, when a node says that a slot has moved, and now and
 * then; more often while something is missing. A step that is redirected is tried again, a few times.
 */
export class ClusterServers implements Servers {
  readonly #options: ClusterOptions;
  readonly #servers = new Map<string, TrustedServer>();
  #masters: (string | undefined)[] = [];
  #discovering: Promise<void> | undefined;
  #stopWatching: (() => void) | undefined;
  #closed = false;
  #failure: string | undefined = 'not connected yet';
  #ticks = 0;
  readonly prefix: string;
  readonly placeOf: (key: Key) => Place;
  /** The nodes agree among themselves who has a slot. */
  readonly run = undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.prefix = options.prefix ?? '';
    this.placeOf = placesWith(this.prefix, (name) => fenceTableOf(slotOf(name)));
  }

  connect(): void {
    this.#stopWatching = this.#options.clock.every(watchMs, () => this.#watch());
    void this.#discover();
  }

  close(): void {
    this.#closed = true;
    this.#stopWatching?.();
    for (const server of this.#servers.values()) server.close();
  }

  get downReason(): string | undefined {
    if (this.#failure !== undefined) return this.#failure;
    for (const [name, { downReason }] of this.#servers) {
      if (downReason !== undefined) return `${name}: ${downReason}`;
    }
    return undefined;
  }

  async ping(): Promise<void> {
    if (this.#servers.size === 0) throw new StoreUnavailable(`no node of the cluster is known: ${this.#failure}`);
    await Promise.all([...this.#servers.values()].map((server) => server.ping()));
  }

  readonly only = undefined;

  async at<T>(place: Place, step: (server: Steps) => Promise<T>): Promise<T> {
    let asked: TrustedServer | undefined;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await step(asked === undefined ? this.#serverOf(place) : asking(asked));
      } catch (error) {
        const redirection = redirectionIn(error);
        if (redirection === undefined || attempt === mostAttempts) throw error;
        asked = redirection.kind === 'ask' ? this.#serverNamed(redirection.node) : undefined;
        if (redirection.kind === 'moved') await this.#discover();
        if (redirection.kind === 'later') await pause(this.#options.clock, tryAgainMs);
      }
    }
  }

  async atAll(
    places: readonly Place[],
    step: (server: Steps, places: readonly Place[]) => Promise<void>,
  ): Promise<void> {
    const deletions = [...this.#byServer(places)].map(async ([server, own]) => {
      try {
        await step(server, own);
      } catch (error) {
        if (redirectionIn(error) === undefined) throw error;
        // One by one: a redirection of one would be taken for one of all.
        await Promise.all(own.map((place) => this.#deleteAt(place, (each) => step(each, [place]))));
      }
    });
    await Promise.all(deletions);
  }

  async onEach(step: (server: Steps) => Promise<void>): Promise<void> {
    await this.#discover();
    const before = this.#masters;
    const isWhole = before.length === slotCount && !before.includes(undefined);
    if (isWhole) await Promise.all([...this.#servers.values()].map(step));
    await this.#discover();
    const isSame = this.#masters.every((master, slot) => master === before[slot]);
    if (!isWhole || !isSame || this.#failure !== undefined) {
      throw new StoreUnavailable('some slots of the cluster have no node, or have moved meanwhile');
    }
  }

  /** While a slot moves, scripts go through only where all of their keys are: until then nothing of its node is trusted. */
  async #deleteAt(place: Place, step: (server: Steps) => Promise<void>): Promise<void> {
    try {
      await this.at(place, step);
    } catch (error) {
      if (redirectionIn(error) !== undefined) this.#serverOf(place).doubt(describeError(error));
      throw error;
    }
  }

  #byServer(places: readonly Place[]): Map<TrustedServer, Place[]> {
    const groups = new Map<TrustedServer, Place[]>();
    for (const place of places) {
      const server = this.#serverOf(place);
      const own = groups.get(server) ?? [];
      groups.set(server, own);
      own.push(place);
    }
    return groups;
  }

  #serverOf({ guard }: Place): TrustedServer {
    return this.#serverNamed(this.#masters[slotOf(slotNameOf(guard))] ?? '');
  }

  #serverNamed(name: string): TrustedServer {
    const server = this.#servers.get(name);
    if (server === undefined)
      throw new StoreUnavailable(`no node of the cluster has the slot (${this.#failure ?? name})`);
    return server;
  }

  #watch(): void {
    this.#ticks += 1;
    if (this.downReason !== undefined || this.#ticks % quietTicks === 0) void this.#discover();
  }

  /** Learns which node has which slot. Never rejects. */
  #discover(): Promise<void> {
    this.#discovering ??= this.#askAround().finally(() => {
      this.#discovering = undefined;
    });
    return this.#discovering;
  }

  async #askAround(): Promise<void> {
    let failure = 'no node is known';
    for (const ask of this.#sources()) {
      try {
        const ranges = await ask();
        if (!this.#closed) this.#adopt(ranges);
        return;
      } catch (error) {
        failure = describeError(error);
      }
      if (this.#closed) return;
    }
    this.#failure = `no node of the cluster answers: ${failure}`;
  }

  /** The nodes in use first, then those that were configured. */
  *#sources(): Iterable<() => Promise<SlotRange[]>> {
    for (const [name, server] of this.#servers) {
      yield async () => parseSlots(await server.ask(['CLUSTER', 'SLOTS']), hostIn(name));
    }
    for (const { host, port } of this.#options.nodes) {
      yield async () => parseSlots(await this.#askOnce(nodeName(host, port)), host);
    }
  }

  async #askOnce(node: string): Promise<Reply | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const listener: LinkListener = { up: resolve, down: (reason) => reject(new StoreUnavailable(reason)) };
    const link: RedisLink = this.#options.openNode(node)('scout', listener);
    try {
      link.connect();
      await promise;
      const [reply] = await link.send(this.#options.timeoutMs, [['CLUSTER', 'SLOTS']]);
      return reply;
    } finally {
      link.close();
    }
  }

  #adopt(ranges: readonly SlotRange[]): void {
    const masters: (string | undefined)[] = [];
    for (const { first, last, master } of ranges) {
      for (let slot = first; slot <= last; slot += 1) masters[slot] = master;
    }
    const names = new Set(ranges.map(({ master }) => master));
    for (const [name, server] of this.#servers) {
      if (names.has(name)) continue;
      this.#servers.delete(name);
      server.close();
    }
    for (const name of names) {
      if (!this.#servers.has(name)) this.#servers.set(name, this.#open(name));
    }
    this.#masters = masters;
    // A node that is about to take over does not have them yet: asked for again soon, and not only now and then.
    const missing = Array.from({ length: slotCount }, (_, slot) => slot).filter((slot) => masters[slot] === undefined);
    this.#failure = missing.length === 0 ? undefined : `${missing.length} slots have no node, ${missing[0]} for one`;
  }

  #open(name: string): TrustedServer {
    const server = new TrustedServer({
      ...this.#options,
      name,
      recover: () => this.#options.recover((key) => this.#masters[slotOf(`${this.prefix}${key}`)] === name),
      openLink: this.#options.openNode(name),
      // There are thousands; each is opened when it is first needed.
      settleFirst: [],
    });
    server.connect();
    return server;
  }
}

export interface ClusterOptions
  extends Omit<TrustedServerOptions, 'openLink' | 'settleFirst' | 'name' | 'recover' | 'claim'> {
  /** Invalidates what changed while a node was out of reach, as far as `wanted` goes; the node is trusted once it resolves. */
  readonly recover: (wanted: (name: KeyName) => boolean) => Promise<void>;
  readonly clock: Clock;
  /** What all keys begin with. */
  readonly prefix?: string;
  /** Some of the nodes. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** Opens links to the node of this name, `host:port`. */
  readonly openNode: (name: string) => OpenLink;
}

const mostAttempts = 4;
const watchMs = 1_000;
/** While nothing is missing, the nodes are asked for every so many seconds. */
const quietTicks = 30;
const tryAgainMs = 10;

function hostIn(name: string): string {
  return name.slice(0, name.lastIndexOf(':'));
}
