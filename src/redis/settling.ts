import type { Clock } from '../cache/clock.ts';
import { SingleFlight } from '../cache/single-flight.ts';
import { describeError } from '../errors.ts';

/**
 * Passes the barrier of the database, and opens fence tables that were made anew.
 *
 * All who want to pass at a time do it together. Whoever asks gets a pass that began after the asking, so every
 * transaction that had set a fence by then has ended.
 *
 * The barrier makes writers wait for the slowest of them. Should one stay open too long, it is left alone for a while; the
 * fence table opens by its own deadline at last.
 */
export class Settling {
  readonly #options: SettlingOptions;
  readonly #flights: SingleFlight<string | undefined>;
  #notBefore = 0;

  constructor(options: SettlingOptions) {
    this.#options = options;
    this.#flights = new SingleFlight(options.clock);
  }

  /** Whether the table of this epoch was opened in time. */
  async settle(fences: string, epoch: string): Promise<boolean> {
    if ((await this.pass()) !== undefined) return false;
    try {
      await this.#options.open(fences, epoch);
      return true;
    } catch {
      // The server is gone again; whoever asks it next finds the table as it is then.
      return false;
    }
  }

  /** `undefined` when the barrier was passed in time, else why not. */
  async pass(): Promise<string | undefined> {
    const { clock, patienceMs } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<string>();
    const cancel = clock.every(patienceMs, () => resolve(stillOpen));
    try {
      return await Promise.race([this.#flights.fly('barrier', () => this.#pass()).landed, late]);
    } finally {
      cancel();
    }
  }

  async #pass(): Promise<string | undefined> {
    const { clock, barrier } = this.#options;
    const began = clock.now();
    if (began < this.#notBefore) return stillOpen;
    try {
      if (await barrier()) return undefined;
      this.#notBefore = clock.now() + pauseFactor * (clock.now() - began);
      return stillOpen;
    } catch (error) {
      return describeError(error);
    }
  }
}

export interface SettlingOptions {
  readonly clock: Clock;
  /** See `TrustedServerOptions`. */
  readonly barrier: () => Promise<boolean>;
  /** Opens the table of this epoch, unless it was lost again meanwhile. */
  readonly open: (fences: string, epoch: string) => Promise<void>;
  /** How long a caller waits at most, in milliseconds. */
  readonly patienceMs: number;
}

/** A barrier that cannot be passed takes at most a tenth of the writers' time. */
const pauseFactor = 9;
const stillOpen = 'a write that was under way has not ended yet';
