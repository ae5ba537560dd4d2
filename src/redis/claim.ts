import { type Clock, pause } from '../cache/clock.ts';
import { CatalogueError } from '../errors.ts';

/**
 * What one instance knows of the claim: which Redis is in use, by a row of the database.
 *
 * A claim is a **lease** (Gray and Cheriton 1989). Every instance looks at it twice a second, and answers from its Redis
 * only for `leaseMs` after a look that found its own claim. Who sees a new claim settles it once that time has passed, and
 * only then a fence in the new Redis counts: nobody answers from the old one any more.
 *
 * While the database is away nobody can make a claim, nor write; so a look that fails for that counts as one that found
 * the same.
 */
export class ClaimLease {
  readonly #port: ClaimPort;
  readonly #clock: Clock;
  #generation = '0';
  /** When the claim of this generation was first seen, in milliseconds of the clock. */
  #seenAt = 0;
  #heldUntil = Number.NEGATIVE_INFINITY;
  #look: Look | undefined;

  constructor(port: ClaimPort, clock: Clock) {
    this.#port = port;
    this.#clock = clock;
  }

  /** Of the claim: a server that is used again after another one was has missed what happened there. */
  get generation(): string {
    return this.#generation;
  }

  /** Whether an answer that has just come from the claimed server may be believed. */
  get isHeld(): boolean {
    return this.#clock.now() < this.#heldUntil;
  }

  /** Claims `run`. What comes back when `isWanted` does not hold any more changes nothing. */
  async make(run: string, isWanted: () => boolean): Promise<void> {
    const since = this.#clock.now();
    const { generation } = await this.#port.make(run);
    if (!isWanted()) return;
    if (generation !== this.#generation) this.#seenAt = this.#clock.now();
    this.#generation = generation;
    this.#hold(since);
  }

  /** Looks at it. Resolves with why the server of `run` must not be used as before, `undefined` when it may. */
  async look(run: string | undefined): Promise<'left' | 'renewed' | undefined> {
    const began = this.#clock.now();
    const claim = await this.#find();
    if (claim === 'away') this.#hold(began);
    if (claim === 'away' || claim === 'busy') return undefined;
    if (claim.run !== run) return 'left';
    if (claim.generation !== this.#generation) return 'renewed';
    this.#hold(claim.since);
    if (!claim.settled && claim.since >= this.#seenAt + leaseMs) await this.#settle(claim.generation);
    return undefined;
  }

  /** The next look tries again. */
  async #settle(generation: string): Promise<void> {
    await this.#port.settle(generation).catch(() => undefined);
  }

  /** One question at a time. A database that does not answer soon counts as away. */
  async #find(): Promise<(Claim & { readonly since: number }) | NoAnswer> {
    this.#look ??= this.#ask();
    const { since, answer } = this.#look;
    const claim = await Promise.race([answer, pause(this.#clock, patienceMs)]);
    return claim === undefined ? 'away' : typeof claim === 'string' ? claim : { ...claim, since };
  }

  #ask(): Look {
    const answer = this.#port
      .read()
      .catch((error: unknown) =>
        error instanceof CatalogueError && error.code === 'DATABASE_BUSY' ? ('busy' as const) : ('away' as const),
      )
      .finally(() => {
        this.#look = undefined;
      });
    return { since: this.#clock.now(), answer };
  }

  #hold(since: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, since + leaseMs);
  }
}

export interface ClaimPort {
  /** Claims `run`; resolves with a new claim if another run was in use before. */
  make(run: string): Promise<Claim>;
  /** The claim that counts now. */
  read(): Promise<Claim>;
  /** Nobody answers from another server any more. Does nothing when another claim counts by now. */
  settle(generation: string): Promise<void>;
}

interface Claim {
  readonly run: string;
  readonly generation: string;
  readonly settled: boolean;
}

interface Look {
  readonly since: number;
  readonly answer: Promise<Claim | NoAnswer>;
}

/** `busy`: it is there, so others may have made a claim. */
type NoAnswer = 'away' | 'busy';

/** How often it is looked at. */
export const lookMs = 500;
const patienceMs = 400;
/** Outlasts one look that is late. */
const leaseMs = 1_500;
