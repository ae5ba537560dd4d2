import { Redis, type RedisOptions } from 'ioredis';
import { StoreUnavailable } from '../cache/store.ts';
import { withDeadline } from '../deadline.ts';
import { describeError } from '../errors.ts';
import { isText, sendBatch } from './batch.ts';
import { commandsChannel, publish } from './channels.ts';
import {
  type Command,
  DeadlineExceeded,
  type LinkListener,
  type OpenLink,
  type RedisLink,
  type Reply,
} from './link.ts';
import { runOf } from './run.ts';
import { nameOfCommand } from './script.ts';

/** One connection to one Redis server, the master when Sentinels say who that is: see `RedisLink`. */
class RedisConnection implements RedisLink {
  readonly #client: Redis;
  readonly #listener: LinkListener;
  #runId: string | undefined;
  #reason: string | undefined;
  #closing: Redis['stream'] | undefined;

  constructor(options: RedisConnectionOptions, listener: LinkListener) {
    this.#listener = listener;
    this.#client = openClient(options);
    this.#client.on('ready', () => void this.#learnRunId(options.connectTimeoutMs));
    this.#client.on('error', (error: unknown) => this.#goDown(describeError(error)));
    // An error tells more than the close that follows it.
    this.#client.on('close', () => this.#goDown(this.#reason ?? 'the connection was closed'));
  }

  connect(): void {
    // A failure here is reported by the `error` event as well, and the next attempt is already scheduled.
    this.#client.connect().catch(() => undefined);
  }

  get runId(): string | undefined {
    return this.#runId;
  }

  async send(deadlineMs: number, commands: readonly Command[]): Promise<readonly Reply[]> {
    if (this.#runId === undefined) throw new StoreUnavailable('not connected to Redis');
    // A batch without commands would be queued all the same, and take the reply of the next.
    if (commands.length === 0) return [];
    const startedAt = performance.now();
    let failed = true;
    try {
      const replies = await within(deadlineMs, this.#send(commands));
      failed = false;
      return replies;
    } catch (error) {
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(describeError(error), { cause: error });
    } finally {
      if (commandsChannel.hasSubscribers) tell(commands, startedAt, failed);
    }
  }

  async #send(commands: readonly Command[]): Promise<readonly Reply[]> {
    try {
      return (await (commands.every(isText) ? sendBatch(this.#client, commands) : this.#pipeline(commands))).map(
        asReply,
      );
    } catch (error) {
      // A master that was demoted goes on answering reads; Sentinels, or an address that moves, know the new one.
      if (error instanceof Error && error.message.startsWith('READONLY')) this.reconnect(error.message);
      throw error;
    }
  }

  /** For commands that carry bytes. */
  async #pipeline(commands: readonly Command[]): Promise<readonly unknown[]> {
    const pipeline = this.#client.pipeline();
    for (const [name, ...args] of commands) pipeline.callBuffer(name, ...args);
    const replies = await pipeline.exec();
    return commands.map((_, index) => {
      const [error, reply] = replies?.[index] ?? [new Error('the pipeline was not executed'), null];
      if (error !== null) throw error;
      return reply;
    });
  }

  /** Each command that was under way may ask for it: a socket is closed once. */
  reconnect(reason: string): void {
    this.#reason = reason;
    const { stream } = this.#client;
    if (stream !== undefined && stream === this.#closing) return;
    this.#closing = stream;
    this.#client.disconnect(true);
  }

  close(): void {
    this.#client.disconnect();
  }

  async #learnRunId(deadlineMs: number): Promise<void> {
    try {
      const runId = runOf(await within(deadlineMs, this.#client.info()));
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

function tell(commands: readonly Command[], startedAt: number, failed: boolean): void {
  const [first = ['none']] = commands;
  const ms = performance.now() - startedAt;
  publish({ command: nameOfCommand(first), count: commands.length, startedAt, ms, failed });
}

/** Opens links to one server. */
export function connector(options: Omit<RedisConnectionOptions, 'name'>): OpenLink {
  return (name, listener) => new RedisConnection({ ...options, name: `energex-cache-${name}` }, listener);
}

export interface RedisConnectionOptions {
  /** `CLIENT SETNAME`, so that `CLIENT LIST` tells who is who. */
  readonly name: string;
  readonly server: RedisServerOptions;
  readonly connectTimeoutMs: number;
}

/** One server, or Sentinels and the name of the master they watch. */
export type RedisServerOptions = Pick<
  RedisOptions,
  | 'host'
  | 'port'
  | 'username'
  | 'password'
  | 'db'
  | 'tls'
  | 'sentinels'
  | 'sentinelUsername'
  | 'sentinelPassword'
  | 'sentinelTLS'
> & {
  /** As the Sentinels know it. */
  readonly master?: string;
};

/** A client that never queues, never repeats, and goes on trying to connect; it waits for `connect`. */
export function openClient({ name, server: { master, ...server }, connectTimeoutMs }: RedisConnectionOptions): Redis {
  return new Redis({
    ...server,
    // No `failoverDetector`: when it fires while the client is connecting, ioredis 6.0 ends the client for good. Sentinels
    // close the connections to a master that they demote, and `server.ts` finds out by itself too.
    ...(master === undefined ? {} : { name: master, role: 'master' as const, enableTLSForSentinelMode: true }),
    connectionName: name,
    // Each connection has a name; a user with few rights may not say more, and Redis 7.0 does not know how.
    disableClientInfo: true,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: connectTimeoutMs,
    disconnectTimeout: disconnectTimeoutMs,
    // A socket that has swallowed commands for this long is given up, and its commands with it.
    socketTimeout: connectTimeoutMs,
    retryStrategy: pauseBefore,
    sentinelRetryStrategy: pauseBefore,
  });
}

/** ioredis never clears this timer when the socket was closed before, so it must not keep a process long. */
export const disconnectTimeoutMs = 100;

const longestRetryMs = 1_000;

/** Milliseconds before attempt number `times`. */
function pauseBefore(times: number): number {
  return Math.min(50 * 2 ** Math.min(times, 6), longestRetryMs);
}

function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  return withDeadline(ms, answer, () => {
    throw new DeadlineExceeded(`no answer from Redis within ${ms} ms`);
  });
}

function asReply(reply: unknown): Reply {
  if (reply === null || typeof reply === 'number' || Buffer.isBuffer(reply)) return reply;
  if (Array.isArray(reply)) return reply.map(asReply);
  /* istanbul ignore next -- RESP 2 has nothing else, and ioredis is not told to speak RESP 3 */
  throw new TypeError(`Redis replied with a ${typeof reply}`);
}
