import type { IncomingMessage } from 'node:http';
import { compile, default as addressBehind } from '@fastify/proxy-addr';
import type { Socket } from 'socket.io';
import type { Clock } from '../cache/clock.ts';

/** What a client may do, and what is kept for it; `docs/events.md` has the same figures from here. */
export const clientLimits = {
  /** Of one message of a client. */
  messageBytes: 64 * 1024,
  messagesPerSecond: 20,
  messagesAtOnce: 120,
  roomsAtATime: 100,
  /** On their way to a client. */
  outgoingBytes: 1024 * 1024,
} as const;

/** Counts the connections of each address. */
export class ConnectionsPerAddress {
  readonly #most: number;
  readonly #trust: ReturnType<typeof compile>;
  readonly #counts = new Map<string, number>();

  /** `proxies` are the addresses and networks whose `X-Forwarded-For` is believed. */
  constructor(most: number, proxies: readonly string[]) {
    this.#most = most;
    this.#trust = compile([...proxies]);
  }

  isFull(request: IncomingMessage): boolean {
    return (this.#counts.get(this.#addressOf(request)) ?? 0) >= this.#most;
  }

  /** Counts a connection until it is closed. */
  count(connection: Socket['conn']): void {
    const address = this.#addressOf(connection.request);
    this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1);
    connection.once('close', () => {
      const left = (this.#counts.get(address) ?? 1) - 1;
      if (left > 0) this.#counts.set(address, left);
      else this.#counts.delete(address);
    });
  }

  #addressOf(request: IncomingMessage): string {
    return addressBehind(request, this.#trust);
  }
}

/** A token bucket: https://en.wikipedia.org/wiki/Token_bucket */
export class Rate {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt: number;

  constructor(clock: Pick<Clock, 'now'>, perSecond: number, burst: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = clock.now();
  }

  /** Whether one more may pass. */
  take(): boolean {
    const now = this.#clock.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) / 1_000) * this.#perSecond);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
