import type { LiveSocket } from '../../client/src/connection.ts';
import type { Handshake } from '../../client/src/core.ts';

/** A socket that does what a test says, as one of `socket.io-client` would. */
export class FakeSocket implements LiveSocket {
  readonly auth: () => Handshake;
  readonly #listeners = new Map<string, ((...args: unknown[]) => void)[]>();
  readonly #any: ((event: string, ...args: unknown[]) => void)[] = [];
  #state: 'closed' | 'wanted' | 'connected' = 'closed';
  attempts = 0;

  constructor(auth: () => Handshake) {
    this.auth = auth;
  }

  get active(): boolean {
    return this.#state !== 'closed';
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  /** The library tries to connect. */
  get isWanted(): boolean {
    return this.#state === 'wanted';
  }

  connect(): void {
    this.attempts += 1;
    if (this.#state === 'closed') this.#state = 'wanted';
  }

  disconnect(): void {
    const wasConnected = this.isConnected;
    this.#state = 'closed';
    if (wasConnected) this.#tell('disconnect', 'io client disconnect');
  }

  on(event: string, listener: (...args: unknown[]) => void): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  onAny(listener: (event: string, ...args: unknown[]) => void): void {
    this.#any.push(listener);
  }

  accept(): void {
    this.#state = 'connected';
    this.#tell('connect');
  }

  /** `isForGood`: the service says so; the library does not come back by itself then. */
  refuse(isForGood = false): void {
    this.#state = isForGood ? 'closed' : 'wanted';
    this.#tell('connect_error', new Error('refused'));
  }

  cut(isForGood = false): void {
    this.#state = isForGood ? 'closed' : 'wanted';
    this.#tell('disconnect', isForGood ? 'io server disconnect' : 'transport close');
  }

  hear(event: string, data: unknown, place?: unknown): void {
    for (const listener of this.#any) listener(event, data, place);
  }

  #tell(event: string, ...args: unknown[]): void {
    for (const listener of this.#listeners.get(event) ?? []) listener(...args);
  }
}
