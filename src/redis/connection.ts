import { type Redis as Client, type RedisOptions, Redis } from 'ioredis';
import { StoreUnavailable } from '../cache/store.ts';
import { withDeadline } from '../deadline.ts';
import { describeError } from '../errors.ts';

/**
 * One connection to one Redis server, with the run id of that server.
 *
 * States: `down` (no socket, or one that is not ready) -> `up` (ready, and `INFO server` has told the run id) -> `down`.
 * Commands go out only while it is up, never wait in a queue for a connection, and are never sent a second time: a step
 * of the protocol that is late or repeated is worse than one that failed.
 */
export class RedisConnection {
  readonly #client: Client;
  readonly #listener: ConnectionListener;
  #runId: string | undefined;
  #reason: string | undefined;

  constructor(options: RedisConnectionOptions, listener: ConnectionListener) {
    this.#listener = listener;
    this.#client = new Redis({
      ...options.server,
      connectionName: options.name,
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: options.connectTimeoutMs,
      // ioredis never clears this timer when the socket was closed before, so it must not keep a process long.
      disconnectTimeout: 100,
      // A socket that has swallowed commands for this long is given up, and its commands with it.
      socketTimeout: options.connectTimeoutMs,
      retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), longestRetryMs),
    });
    this.#client.on('ready', () => void this.#learnRunId(options.connectTimeoutMs));
    this.#client.on('error', (error: unknown) => this.#goDown(describeError(error)));
    // An error tells more than the close that follows it.
    this.#client.on('close', () => this.#goDown(this.#reason ?? 'the connection was closed'));
  }

  /** Begins to connect and keeps at it until `close`. Never rejects: `ConnectionListener` tells how it goes. */
  connect(): void {
    // A failure here is reported by the `error` event as well, and the next attempt is already scheduled.
    this.#client.connect().catch(() => undefined);
  }

  /** The run id of the server behind the connection, while it is up. */
  get runId(): string | undefined {
    return this.#runId;
  }

  /**
   * Runs commands with a deadline in milliseconds. Everything that keeps them from being answered becomes
   * `StoreUnavailable`, error replies included: a server that is loading, out of memory, read-only or holds a foreign
   * type under the key is no store to rely on.
   */
  async send<T>(deadlineMs: number, commands: (client: Client, runId: string) => Promise<T>): Promise<T> {
    const runId = this.#runId;
    if (runId === undefined) throw new StoreUnavailable('not connected to Redis');
    try {
      return await within(deadlineMs, commands(this.#client, runId));
    } catch (error) {
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(describeError(error), { cause: error });
    }
  }

  reconnect(): void {
    this.#client.disconnect(true);
  }

  close(): void {
    this.#client.disconnect();
  }

  async #learnRunId(deadlineMs: number): Promise<void> {
    try {
      const info = await within(deadlineMs, this.#client.info('server'));
      const runId = /^run_id:(\w+)/m.exec(info)?.[1];
      if (runId === undefined) throw new Error('INFO server tells no run_id');
      this.#runId = runId;
      this.#reason = undefined;
      this.#listener.up();
    } catch (error) {
      this.#goDown(describeError(error));
      this.#client.disconnect(true);
    }
  }

  #goDown(reason: string): void {
    this.#runId = undefined;
    this.#reason = reason;
    this.#listener.down(reason);
  }
}

export interface RedisConnectionOptions {
  /** `CLIENT SETNAME`, so that `CLIENT LIST` tells who is who. */
  readonly name: string;
  readonly server: Pick<RedisOptions, 'host' | 'port' | 'username' | 'password' | 'db' | 'tls'>;
  readonly connectTimeoutMs: number;
}

export interface ConnectionListener {
  up(): void;
  /** May be called several times in a row. */
  down(reason: string): void;
}

/** The server was there and did not answer in time. */
export class DeadlineExceeded extends StoreUnavailable {}

function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return withDeadline(ms, answer, () => {
    throw new DeadlineExceeded(`no answer from Redis within ${ms} ms`);
  });
}

const longestRetryMs = 1_000;
