import type { Random } from '../random.ts';
import type { Timeline } from '../timeline.ts';
import type { Connection, Traffic } from './connection.ts';
import type { Keyspace } from './keyspace.ts';
import { SimulatedRedis } from './server.ts';

/** The address at which instances find Redis, and the server that answers there just now. */
export class RedisService {
  readonly timeline: Timeline;
  readonly random: Random;
  readonly connections = new Set<Connection>();
  readonly traffic: Traffic = { jams: 0.1 };
  readonly #options: RedisServiceOptions;
  readonly #subscribers = new Map<string, Set<(text: string) => void>>();
  #runs = 0;
  #promotions = 0;
  #server: SimulatedRedis;
  #reachable = true;
  #snapshot: Keyspace | undefined;

  constructor(timeline: Timeline, random: Random, options: RedisServiceOptions) {
    this.timeline = timeline;
    this.random = random;
    this.#options = options;
    this.#server = this.#start('empty');
  }

  get server(): SimulatedRedis {
    return this.#server;
  }

  /** Whether new connections are accepted. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** What the server holds now is what a later restart or promotion will know. */
  save(): void {
    this.#snapshot = this.#server.keyspace.copy();
  }

  /** The server is gone; after `downMs` the next one answers. */
  replace(downMs: number, by: Successor): void {
    // It cannot die twice.
    if (!this.#reachable) return;
    this.#reachable = false;
    const keyspace = by === 'empty' ? undefined : this.#snapshot?.copy();
    for (const connection of this.connections) connection.serverIsGone();
    this.timeline.after(downMs, () => {
      this.#server = this.#start(by, keyspace);
      this.#reachable = true;
    });
  }

  /**
   * The address leads to another server for `ms` milliseconds, and then back: whose connection is among those that `stay`
   * goes on at the first one, all the while.
   */
  leaveAndReturn(ms: number, stay: (connection: Connection) => boolean): void {
    if (!this.#reachable) return;
    const first = this.#server;
    this.#server = this.#start('snapshot', this.#snapshot?.copy());
    for (const connection of this.connections) if (!stay(connection)) connection.serverIsGone();
    const second = this.#server;
    this.timeline.after(ms, () => {
      if (this.#server !== second) return;
      this.#server = first;
      for (const connection of this.connections) if (connection.server === second) connection.serverIsGone();
    });
  }

  /** Some or all of the messages get lost, as they do in Redis while a subscriber is away. */
  subscribe(channel: string, heard: (text: string) => void): () => void {
    const subscribers = this.#subscribers.get(channel) ?? new Set();
    this.#subscribers.set(channel, subscribers.add(heard));
    return () => subscribers.delete(heard);
  }

  #start(by: Successor, keyspace?: Keyspace): SimulatedRedis {
    this.#promotions += 1;
    if (by !== 'promoted anew') this.#runs += 1;
    // Wall clocks differ a little.
    const clock = 1_700_000_000_000 + this.random.below(1_000);
    const { sameRunId, sameReplicationId, rewrite, deleted } = this.#options;
    return new SimulatedRedis({
      runId: sameRunId ? 'run' : `run${this.#runs}`,
      replicationId: sameRunId || sameReplicationId ? 'r' : `r${this.#promotions}`,
      now: () => Math.floor(clock + this.timeline.now),
      publish: (name, text) => this.#publish(name, text),
      deleted,
      rewrite,
      ...(keyspace === undefined ? {} : { keyspace }),
    });
  }

  #publish(channel: string, text: string): number {
    const subscribers = this.#subscribers.get(channel) ?? new Set();
    for (const heard of subscribers) {
      if (!this.random.chance(0.05)) this.timeline.after(this.random.between(0.05, 3), () => heard(text));
    }
    return subscribers.size;
  }
}

/**
 * A server that starts with nothing, or with what was saved last (a replica that has missed the latest writes is the same);
 * or one that was master before and, without a restart, is master again, with what it got as a replica.
 */
export type Successor = 'empty' | 'snapshot' | 'promoted anew';

export interface RedisServiceOptions {
  /** A mutation: a new run of the server cannot be told from the last one. */
  readonly sameRunId: boolean;
  /** A mutation: a server that was promoted anew cannot be told from what it was before. */
  readonly sameReplicationId: boolean;
  /** See `SimulatedRedisOptions`. */
  readonly deleted: (keys: readonly string[], server: SimulatedRedis) => void;
  /** A mutation of the scripts. */
  readonly rewrite: ((script: string) => string) | undefined;
}
