import { StoreUnavailable } from '../cache/store.ts';

/**
 * What the store needs of a connection to a Redis server. `connection.ts` is the real one; the simulation in
 * `test/simulation/` has one of its own, so that a seed decides when each command takes effect.
 *
 * States: `down` -> `up` (connected, and the run id of the server is known) -> `down`. Commands go out only while it is up,
 * never wait in a queue for a connection, and are never sent a second time: a step of the protocol that is late or
 * repeated is worse than one that failed.
 */
export interface RedisLink {
  /** The run of the server behind the connection, while it is up; see `run.ts`. */
  readonly runId: string | undefined;
  /** Begins to connect and keeps at it until `close`. Never rejects: the listener tells how it goes. */
  connect(): void;
  /** Drops the connection for this reason, and makes a new one. */
  reconnect(reason: string): void;
  close(): void;
  /**
   * Sends commands in one go, with a deadline in milliseconds; the replies come in the same order. Commands of other
   * clients may come in between. Rejects with `StoreUnavailable` when anything keeps them from being answered, an error
   * reply to any of them included: a server that is loading, out of memory, read-only or holds a foreign type under the
   * key is no store to rely on. Some of the commands may have taken effect then.
   */
  send(deadlineMs: number, commands: readonly Command[]): Promise<readonly Reply[]>;
}

/** Its name, then its arguments. */
export type Command = readonly [string, ...(string | number | Buffer)[]];

/** Bulk and simple strings, integers, nil, arrays of these. */
export type Reply = Buffer | number | null | readonly Reply[];

export interface LinkListener {
  up(): void;
  /** May be called several times in a row. */
  down(reason: string): void;
}

/** `name` tells the links of one store apart. */
export type OpenLink = (name: string, listener: LinkListener) => RedisLink;

/**
 * Subscribes to a channel, and keeps at it until the function it returns is called; a message may be lost. `heard` gets
 * the text of each.
 */
export type Subscribe = (channel: string, heard: (text: string) => void) => () => void;

/** The server was there and did not answer in time. */
export class DeadlineExceeded extends StoreUnavailable {}
