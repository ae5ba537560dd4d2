import type { Clock } from '../cache/clock.ts';
import { SingleFlight } from '../cache/single-flight.ts';

/**
 * Opens fence tables that were made anew: passes the barrier of the database, and then tells the table.
 *
 * All who want to pass at a time do it together. Whoever asks gets a pass that began after the asking, so every
 * transaction that had set a fence by then has ended.
 *
 * The barrier makes writers wait for the slowest of them. Should one stay open too long, it is left alone for a while; the
 * fence table opens by its own deadline at last.
 */
export class Settling {
  readonly #options: SettlingOptions;
  readonly #flights: SingleFlight<boolean>;
  #notBefore = 0;

  constructor(options: SettlingOptions) {
    this.#options = options;
    this.#flights = new SingleFlight<boolean>(options.clock);
  }

  /** Whether the table of this epoch was opened in time. */
  async settle(fences: string, epoch: string): Promise<boolean> {
    const { clock, patienceMs } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<boolean>();
    const cancel = clock.every(patienceMs, () => resolve(false));
    try {
      return await Promise.race([this.#passAndOpen(fences, epoch), late]);
    } finally {
      cancel();
    }
  }

  async #passAndOpen(fences: string, epoch: string): Promise<boolean> {
    const passed = await this.#flights.fly('barrier', () => this.#pass()).landed;
    if (!passed) return false;
    try {
      await this.#options.open(fences, epoch);
      return true;
    } catch {
      // The server is gone again; whoever asks it next finds the table as it is then.
      return false;
    }
  }

  async #pass(): Promise<boolean> {
    const { clock, barrier } = this.#options;
    const began = clock.now();
    if (began < this.#notBefore) return false;
    // A database that is away says nothing; nobody can load meanwhile either.
    const passed = await barrier().catch(() => undefined);
    if (passed === false) this.#notBefore = clock.now() + pauseFactor * (clock.now() - began);
    return passed === true;
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
