import { publish } from '../cache/channels.ts';
import { pause } from '../cache/clock.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { describeError } from '../errors.ts';
import { ClaimLease, lookMs } from './claim.ts';
import { type Command, DeadlineExceeded, type RedisLink, type Reply } from './link.ts';
import { NoMaster, requireMaster } from './run.ts';
import { redirectionIn } from './redirection.ts';
import * as scripts from './scripts.ts';
import type { Call } from './scripts.ts';
import type { TrustedServerOptions } from './server-options.ts';
import { Settling } from './settling.ts';

/**
 * One Redis server, and whether it can be trusted.
 *
 * Two links, so that a value of megabytes never stands in front of the few bytes that validate a hit. Both must
 * reach the same run of the same server; else nothing is trusted. States:
 *
 *   down -> recovering   both links are up: they must answer as a master, every write that was under way must have ended
 *                        (the barrier), what the outbox holds is invalidated, and a fence table that was lost is opened
 *   recovering -> trusted
 *   trusted -> recovering   a fence or a release failed: what was to be deleted may still be there; or several commands in
 *                        a row missed their deadline (a circuit breaker: nobody waits for a server that hangs, until it
 *                        answers a ping); or the server turned out not to be a master any more
 *   any -> down          either link is lost
 *
 * Reads, leases and fills need `trusted`. Fences and releases only need the link: they take trust away, and a
 * write that begins while the outbox is still being swept must not be missed by it.
 *
 * Fences are of no use where they are lost with the server's memory. All of them are in one hash, the fence table, which
 * tells by its absence that this may have happened; see `lua/prelude.lua`. Nothing is filled then until the
 * **barrier** has been passed: every COMMIT that was out has ended.
 */
export class TrustedServer {
  readonly #options: TrustedServerOptions;
  readonly #commands: RedisLink;
  readonly #values: RedisLink;
  readonly #settling: Settling;
  readonly #claim: ClaimLease | undefined;
  #stopProbing: (() => void) | undefined;
  #probing = false;
  /** Counts the times of being up, so that a recovery that ends after its connection can be told. */
  #era = 0;
  #trusted = false;
  /** A deletion failed since the last sweep of the outbox began: that sweep may not have seen its names. */
  #inDoubt = false;
  #downReason: string | undefined = 'not connected yet';
  #closed = false;
  /** How many commands in a row were not answered in time. */
  #missed = 0;
  #breakerIsOpen = false;

  constructor(options: TrustedServerOptions) {
    this.#options = options;
    this.#claim = options.claim === undefined ? undefined : new ClaimLease(options.claim, options.clock);
    this.#settling = new Settling({
      ...options,
      patienceMs: options.bulkTimeoutMs,
      open: (fences, epoch) => this.#open([[fences, epoch]]),
    });
    const listener = { up: () => void this.#recover(), down: (reason: string) => this.#goDown(reason) };
    this.#commands = options.openLink('commands', listener);
    this.#values = options.openLink('values', listener);
  }

  /** Begins to connect; returns at once. Until the server is trusted, calls reject with `StoreUnavailable`. */
  connect(): void {
    this.#stopProbing = this.#options.clock.every(lookMs, () => {
      // One at a time: with the database away each takes longer than the pause between two.
      if (this.#trusted && !this.#probing) void this.#probe();
    });
    this.#commands.connect();
    this.#values.connect();
  }

  close(): void {
    this.#closed = true;
    this.#stopProbing?.();
    this.#commands.close();
    this.#values.close();
  }

  /** Why the server is not trusted; `undefined` when it is. */
  get downReason(): string | undefined {
    return this.#trusted ? undefined : this.#downReason;
  }

  /** A step of a few bytes that takes what the server holds for true. */
  withCommands<T>(step: (call: TrustedCall) => Promise<T>): Promise<T> {
    return this.#onTrusted(this.#commands, this.#options.timeoutMs, step);
  }

  /** A step that may carry a large value, and takes what the server holds for true. */
  withValues<T>(step: (call: TrustedCall) => Promise<T>): Promise<T> {
    return this.#onTrusted(this.#values, this.#options.bulkTimeoutMs, step);
  }

  /** A step that takes away. When it fails, the server is not trusted until the outbox was swept. */
  async withDeletion(step: (call: DeletionCall) => Promise<void>): Promise<void> {
    try {
      const call = this.#callOn(this.#commands, this.#options.timeoutMs);
      await step({ ...call, trusted: this.#trusted ? this.#trustedPrefix(call) : undefined });
    } catch (error) {
      // The server may still answer reads (a demoted master does, or one that cannot save): with what it could not delete.
      // A node of a cluster that sends us elsewhere does not answer them either.
      if (redirectionIn(error) === undefined) this.doubt(describeError(error));
      throw error;
    }
  }

  /** A deletion that concerns this server has failed: it is not trusted until the outbox was swept. */
  doubt(reason: string): void {
    this.#inDoubt = true;
    this.#distrust(`a deletion failed: ${reason}`);
  }

  /** The run of this server, where runs are claimed; `''` while it is down. */
  get run(): string | undefined {
    return this.#claim === undefined ? undefined : (this.#commands.runId ?? '');
  }

  /** Whether the fence table of this epoch was opened in time. */
  settle(fences: string, epoch: string): Promise<boolean> {
    return this.#settling.settle(fences, epoch);
  }

  async ping(): Promise<void> {
    await this.ask(['PING']);
  }

  /** A command that needs no trust. */
  async ask(command: Command): Promise<Reply | undefined> {
    const [reply] = await this.#commands.send(this.#options.timeoutMs, [command]);
    return reply;
  }

  #callOn(link: RedisLink, deadlineMs: number): Call {
    const { runId } = link;
    if (runId === undefined) throw new StoreUnavailable('not connected to Redis');
    return { link, deadlineMs, ground: { runId, epoch: this.#options.unique(), settleMs: this.#options.fenceMs } };
  }

  async #onTrusted<T>(link: RedisLink, deadlineMs: number, step: (call: TrustedCall) => Promise<T>): Promise<T> {
    if (!this.#trusted) throw new StoreUnavailable(`Redis is not in use: ${this.#downReason}`);
    const call = this.#callOn(link, deadlineMs);
    try {
      const result = await step({ ...call, trusted: this.#trustedPrefix(call) });
      this.#missed = 0;
      // Looked at behind the answer: while it was under way, others may have gone to another server.
      if (this.#claim?.isHeld === false) throw new StoreUnavailable('the claim on Redis was not confirmed in time');
      return result;
    } catch (error) {
      if (error instanceof DeadlineExceeded) this.#countMiss(error);
      throw error;
    }
  }

  #trustedPrefix({ ground: { runId } }: Call): string {
    return `${runId}.${this.#claim?.generation ?? '0'}.${this.#options.origin()}.`;
  }

  #countMiss({ message }: DeadlineExceeded): void {
    this.#missed += 1;
    if (this.#missed < mostMisses || !this.#trusted) return;
    const reason = `${message}, ${mostMisses} times in a row`;
    this.#breakerIsOpen = true;
    publish({ type: 'breaker', open: true, reason: this.#named(reason) });
    this.#distrust(reason);
  }

  #distrust(reason: string): void {
    if (!this.#trusted) return;
    this.#goDown(reason);
    void this.#recover();
  }

  /**
   * Now and then: a master that was demoted without a word answers reads for ever, from what it is sent late; and one that
   * was cut off from its Sentinels does not know that the others have gone to another.
   */
  async #probe(): Promise<void> {
    this.#probing = true;
    try {
      await this.#lookAtClaim();
      await this.#onTrusted(this.#commands, this.#options.timeoutMs, (call) => requireMaster(call));
    } catch (error) {
      if (error instanceof NoMaster) this.#distrust(error.message);
    } finally {
      this.#probing = false;
    }
  }

  /** Also the number counts: the others may have gone to another Redis and come back between two looks. */
  async #lookAtClaim(): Promise<void> {
    const era = this.#era;
    const finding = await this.#claim?.look(this.#commands.runId);
    if (!this.#trusted || era !== this.#era) return;
    if (finding === 'left') this.#leave('another Redis is in use by now');
    if (finding === 'renewed') this.#distrust('another Redis was in use meanwhile');
  }

  #leave(reason: string): void {
    this.#distrust(reason);
    this.#reconnect(reason);
  }

  /** Runs at every sign that a link is up; goes through with it once both are, at the same run. */
  async #recover(): Promise<void> {
    const { runId } = this.#commands;
    const other = this.#values.runId;
    if (this.#trusted || runId === undefined || other === undefined) return;
    if (runId !== other) {
      // One of them was made before a failover: connecting anew brings both to the same server.
      this.#reconnect('the two connections reached different servers');
      return;
    }
    this.#era += 1;
    const era = this.#era;
    const since = this.#options.clock.now();
    for (;;) {
      const reason = await this.#tryToRecover(since, era);
      if (era !== this.#era || this.#closed) return;
      if (reason === undefined) break;
      this.#stayDown(reason);
      await pause(this.#options.clock, recoverRetryMs);
      // Another recovery has begun meanwhile; this one would forget what that one is to remember (`#inDoubt`).
      if (era !== this.#era || this.#closed) return;
    }
    this.#trusted = true;
    this.#missed = 0;
    if (this.#breakerIsOpen) publish({ type: 'breaker', open: false, reason: this.#named('answered again') });
    this.#breakerIsOpen = false;
    publish({ type: 'store', up: true, reason: this.#named(`run ${runId}`) });
  }

  #reconnect(reason: string): void {
    this.#commands.reconnect(reason);
    this.#values.reconnect(reason);
  }

  /**
   * `undefined`, or why the server cannot be trusted yet.
   *
   * A write whose fence failed has its row in the outbox only once it is committed: a sweep that came before would miss it.
   * So the barrier comes first, whether or not any memory was lost; without it, as long as a COMMIT can be out.
   */
  async #tryToRecover(since: number, era: number): Promise<string | undefined> {
    const { timeoutMs, fenceMs, clock, recover } = this.#options;
    try {
      // A link that is down throws at once: in an async function, so that the other's answer is not left without a listener.
      await Promise.all(
        [this.#commands, this.#values].map(async (link) => await requireMaster(this.#callOn(link, timeoutMs))),
      );
    } catch (error) {
      // Its address may lead to the new master by now.
      if (error instanceof NoMaster) this.#reconnect(error.message);
      return describeError(error);
    }
    this.#inDoubt = false;
    try {
      const lost = await this.#lostTables();
      const obstacle = await this.#settling.pass();
      if (obstacle !== undefined && clock.now() < since + fenceMs) return obstacle;
      // A link that was lost meanwhile throws here: nobody uses a run that is not known any more.
      await this.#claim?.make(this.#callOn(this.#commands, timeoutMs).ground.runId, () => era === this.#era);
      await recover();
      // Opened here so that the first readers need not wait for it. Without the barrier they open by themselves.
      if (obstacle === undefined) await this.#open(lost);
    } catch (error) {
      return `what changed meanwhile could not be invalidated yet (${describeError(error)})`;
    }
    return this.#inDoubt ? 'a deletion failed meanwhile' : undefined;
  }

  /** The fence tables that are shut, with their epochs. */
  async #lostTables(): Promise<[fences: string, epoch: string][]> {
    const lost: [string, string][] = [];
    for (const fences of this.#options.settleFirst) {
      const call = this.#callOn(this.#commands, this.#options.timeoutMs);
      const found = await scripts.settle(call, fences, '');
      if (found.kind === 'unsettled') lost.push([fences, found.epoch]);
    }
    return lost;
  }

  async #open(lost: readonly [fences: string, epoch: string][]): Promise<void> {
    for (const [fences, epoch] of lost) {
      await scripts.settle(this.#callOn(this.#commands, this.#options.timeoutMs), fences, epoch);
    }
  }

  #goDown(reason: string): void {
    this.#era += 1;
    this.#stayDown(reason);
  }

  /** Says so once for each reason. */
  #stayDown(reason: string): void {
    const known = !this.#trusted && this.#downReason === reason;
    this.#trusted = false;
    this.#downReason = reason;
    if (!known && !this.#closed) publish({ type: 'store', up: false, reason: this.#named(reason) });
  }

  #named(reason: string): string {
    const { name } = this.#options;
    return name === undefined ? reason : `${name}: ${reason}`;
  }
}

export interface TrustedCall extends Call {
  /** What every version begins with that may be served now: given out on this run of the server, for this database. */
  readonly trusted: string;
}

/** A deletion is made on any server. */
export interface DeletionCall extends Call {
  /** As in `TrustedCall`; `undefined` while the server is not trusted. */
  readonly trusted: string | undefined;
}

const recoverRetryMs = 500;
const mostMisses = 3;
