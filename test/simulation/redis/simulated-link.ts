import { StoreUnavailable } from '../../../src/cache/store.ts';
import {
  type Command,
  DeadlineExceeded,
  type LinkListener,
  type RedisLink,
  type Reply,
} from '../../../src/redis/link.ts';
import { runOf } from '../../../src/redis/run.ts';
import type { Host } from '../host.ts';
import { Connection } from './connection.ts';
import { RedisError } from './reply.ts';
import type { RedisService } from './service.ts';

/** The link of the store over simulated connections: it behaves as `src/redis/connection.ts` does. */
export class SimulatedLink implements RedisLink {
  readonly name: string;
  readonly #host: Host;
  readonly #service: RedisService;
  readonly #listener: LinkListener;
  readonly #options: SimulatedLinkOptions;
  readonly #pending = new Set<(error: StoreUnavailable) => void>();
  #connection: Connection | undefined;
  #runId: string | undefined;
  #closed = false;
  #attempts = 0;
  /** No connection can be made before. */
  #cutUntil = 0;

  constructor(name: string, host: Host, service: RedisService, listener: LinkListener, options: SimulatedLinkOptions) {
    this.name = name;
    this.#host = host;
    this.#service = service;
    this.#listener = listener;
    this.#options = options;
  }

  get runId(): string | undefined {
    return this.#runId;
  }

  connect(): void {
    this.#host.after(this.#host.random.between(0.1, 3), () => this.#tryToConnect());
  }

  reconnect(reason: string): void {
    this.#drop(reason);
  }

  close(): void {
    this.#closed = true;
    this.#drop('the connection was closed');
  }

  /** Fault: the connection is lost, and cannot be made again for `ms` milliseconds. */
  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#host.timeline.now + ms);
    this.#host.after(0, () => this.#drop('connection reset'));
  }

  /** Fault: nothing gets through for `ms` milliseconds. */
  hold(ms: number): void {
    this.#connection?.hold(ms);
  }

  isOn(connection: Connection): boolean {
    return this.#connection === connection;
  }

  /** The process was killed: its sockets go with it. */
  die(): void {
    this.#connection?.clientIsGone();
  }

  send(deadlineMs: number, commands: readonly Command[]): Promise<readonly Reply[]> {
    if (this.#runId === undefined) return Promise.reject(new StoreUnavailable('not connected to Redis'));
    return this.#send(deadlineMs, commands);
  }

  #send(deadlineMs: number, commands: readonly Command[]): Promise<readonly Reply[]> {
    const connection = this.#connection;
    if (connection === undefined) return Promise.reject(new StoreUnavailable('not connected to Redis'));
    const label = `${this.#host.name} ${this.name}`;
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void): void => {
        cancel();
        this.#pending.delete(fail);
        finish();
      };
      const fail = (error: StoreUnavailable): void => settle(() => reject(error));
      const cancel = this.#host.after(deadlineMs, () =>
        fail(new DeadlineExceeded(`no answer within ${deadlineMs} ms`)),
      );
      // ioredis gives a socket up that has been silent for that long.
      const giveUp = this.#host.after(this.#options.connectTimeoutMs, () => {
        if (this.#connection === connection) this.#drop('the server is silent');
      });
      this.#pending.add(fail);
      this.#options.log(() => `${label} > ${commands.map(this.#options.describe).join(' | ')}`);
      connection.send(commands, (replies) => {
        this.#host.after(0, () => {
          giveUp();
          this.#options.log(
            () => `${label} < ${replies instanceof RedisError ? replies.message : describeReply(replies)}`,
          );
          settle(() => {
            if (replies instanceof RedisError) reject(new StoreUnavailable(replies.message, { cause: replies }));
            else resolve(replies);
          });
        });
      });
    });
  }

  #tryToConnect(): void {
    if (this.#closed || this.#connection !== undefined) return;
    const { timeline, random } = this.#host;
    if (!this.#service.reachable || timeline.now < this.#cutUntil) {
      this.#listener.down('connection refused');
      this.#connectLater();
      return;
    }
    const connection = new Connection(this.#service, this.#options.delayMs);
    this.#connection = connection;
    this.#service.connections.add(connection);
    connection.whenLost(() => {
      this.#host.after(random.between(0, 5), () => {
        if (this.#connection === connection) this.#drop('the server closed the connection');
      });
    });
    void this.#learnRunId(connection);
  }

  async #learnRunId(connection: Connection): Promise<void> {
    try {
      const [info] = await this.#send(this.#options.connectTimeoutMs, [['INFO']]);
      if (this.#connection !== connection) return;
      this.#runId = runOf(String(info));
      this.#attempts = 0;
      this.#options.log(() => `${this.#host.name} ${this.name} is up, ${this.#runId}`);
      this.#listener.up();
    } catch {
      if (this.#connection === connection) this.#drop('no run id');
    }
  }

  #connectLater(): void {
    this.#attempts += 1;
    this.#host.after(Math.min(50 * 2 ** Math.min(this.#attempts, 6), 1_000), () => this.#tryToConnect());
  }

  #drop(reason: string): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#options.log(() => `${this.#host.name} ${this.name} is down: ${reason}`);
    this.#connection = undefined;
    this.#service.connections.delete(connection);
    connection.clientIsGone();
    this.#runId = undefined;
    for (const fail of this.#pending) fail(new StoreUnavailable(reason));
    this.#listener.down(reason);
    this.#connectLater();
  }
}

export interface SimulatedLinkOptions {
  readonly connectTimeoutMs: number;
  /** What a message usually takes, in milliseconds. */
  readonly delayMs: number;
  readonly describe: (command: Command) => string;
  readonly log: (line: () => string) => void;
}

function describeReply(reply: Reply | undefined): string {
  if (Array.isArray(reply)) return `[${reply.map(describeReply).join(', ')}]`;
  return String(reply).replaceAll('\r\n', ' ');
}
