import { randomBytes } from 'node:crypto';
import { type Clock, pause } from '../cache/clock.ts';
import { StoreUnavailable } from '../cache/store.ts';
import { describeError } from '../errors.ts';
import type { Cascades } from './cascades.ts';
import { type Change, type ChangeSource, type ChangeStream, type Position, PositionLost } from './change-source.ts';
import { publish } from './channels.ts';
import type { Checkpoint, Mark } from './checkpoint.ts';
import type { Effects } from './effects.ts';
import type { FeedState } from './feed-state.ts';
import type { Leadership, LeaderLock } from './leader-lock.ts';
import type { Problem } from './server-checks.ts';
import { StallWatch } from './stall-watch.ts';

/**
 * Follows a change source for as long as this instance leads.
 *
 *   off -> electing        the settings of the server were looked at, and are right
 *   off -> refused         they are wrong: there is no feed until they are mended, which is looked at now and then
 *   electing -> starting   no other instance leads: the checkpoint is read
 *   starting -> following  the source tells of what is behind the checkpoint. Without one, or where the source has lost it,
 *                          everything is invalidated and the feed starts at the end
 *   following -> stalled   the reader is silent though the server is further on, or the server does not answer
 *   any -> reconnecting    anything failed: once more in a moment, from the last boundary whose changes took effect
 *   any -> electing        the lock is lost; or the cache store was out of reach of this instance for long, so that another
 *                          may try
 *
 * A change takes effect before the checkpoint passes it, so what is repeated after a fault is repeated, never left out.
 * The leader knows its position by itself; the checkpoint is for the next one.
 */
export class Follower {
  readonly #options: FollowerOptions;
  #state: FeedState = { name: 'off' };
  #running: Promise<void> | undefined;
  #isStopping = false;
  #wake: () => void = () => undefined;
  #stream: ChangeStream | undefined;
  #failures = 0;
  #checkedAt = -Infinity;
  /** The last boundary whose changes took effect, while this instance leads. */
  #mark: Mark | undefined;
  /** Why this instance does not lead any more. */
  #deposed: string | undefined;
  /** Why changes behind the mark cannot be told of. */
  #lost: string | undefined;
  #savedAt = -Infinity;
  #isDirty = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
  }

  get state(): FeedState {
    return this.#state;
  }

  /** Where this instance is, while it leads. */
  get position(): Position | undefined {
    return this.#mark?.position;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#wake();
    await this.#stream?.close();
    await this.#running;
    await this.#options.source.close();
    this.#enter({ name: 'off' });
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      try {
        await this.#attempt();
      } catch (error) {
        await this.#backOff(describeError(error));
      }
    }
  }

  async #attempt(): Promise<void> {
    if (!(await this.#isServerRight())) {
      await this.#sleep(this.#options.recheckMs);
      return;
    }
    if (this.#state.name !== 'electing') this.#enter({ name: 'electing' });
    const leadership = await this.#options.lock.acquire();
    if (leadership === null) return;
    try {
      await this.#lead(leadership);
    } finally {
      this.#mark = undefined;
      this.#lost = undefined;
      await leadership.release();
    }
  }

  /** Not asked again by each instance that waits, each second. */
  async #isServerRight(): Promise<boolean> {
    const { check, clock, recheckMs } = this.#options;
    const now = clock.now();
    if (this.#state.name === 'electing' && now - this.#checkedAt < recheckMs) return true;
    const problems = await check();
    this.#checkedAt = now;
    if (problems.every(({ isAdvice }) => isAdvice)) {
      if (problems.length > 0) publish({ type: 'advice', problems });
      return true;
    }
    this.#enter({ name: 'refused', problems });
    return false;
  }

  /** Until the lock is lost, the server is not as it must be, or the store was out of reach for long. */
  async #lead(leadership: Leadership): Promise<void> {
    const { clock, resignMs } = this.#options;
    this.#deposed = undefined;
    void leadership.lost.then(async (reason) => {
      this.#deposed = reason;
      this.#wake();
      await this.#stream?.close();
    });
    let unreachableSince: number | undefined;
    while (!this.#isStopping) {
      try {
        await this.#follow();
      } catch (error) {
        if (this.#isStopping) return;
        this.#requireLead(error);
        if (error instanceof PositionLost) this.#lost = error.message;
        const now = clock.now();
        if (this.#failures === 0) unreachableSince = undefined;
        unreachableSince = error instanceof StoreUnavailable ? (unreachableSince ?? now) : undefined;
        if (unreachableSince !== undefined && now - unreachableSince > resignMs) throw error;
        await this.#backOff(describeError(error));
        this.#requireLead(error);
        // A server that cannot be asked is not wrong.
        if (!(await this.#isServerRight().catch(() => true))) return;
      }
    }
  }

  #requireLead(cause: unknown): void {
    if (this.#deposed !== undefined) throw new Error(`leadership is lost: ${this.#deposed}`, { cause });
  }

  /** Until something fails, or the tables are others. */
  async #follow(): Promise<void> {
    this.#enter({ name: 'starting' });
    const { clock, heartbeatMs, source, stallMs } = this.#options;
    const cascades = await this.#options.readCascades();
    const stream = await this.#open(this.#options.tablesWith(cascades));
    this.#stream = stream;
    const stalled = (reason: string): void => {
      this.#enter({ name: 'stalled', reason });
      void stream.close();
    };
    const watch = new StallWatch({ stream, source, clock, heartbeatMs, stallMs, stalled });
    // Also when nothing has changed: a store that has lost it is to have it again.
    const stopSaving = clock.every(heartbeatMs, () => {
      this.#isDirty = true;
      void this.#save().catch(() => undefined);
    });
    try {
      this.#requireLead(undefined);
      if (this.#isStopping) return;
      this.#enter({ name: 'following' });
      for (;;) {
        watch.waits(true);
        const changes = await stream.next(mostAtOnce);
        watch.waits(false);
        await this.#apply(changes, stream, cascades);
        this.#failures = 0;
        // The columns and the foreign keys may be others now.
        if (changes.some(({ type }) => type === 'table')) return;
      }
    } catch (error) {
      throw watch.reason === undefined ? error : new Error(watch.reason, { cause: error });
    } finally {
      watch.stop();
      stopSaving();
      this.#stream = undefined;
      await stream.close();
      await this.#save().catch(() => undefined);
    }
  }

  /** At the last boundary, as this instance knows it or as the one before has left it; or else at the end. */
  async #open(tables: readonly string[]): Promise<ChangeStream> {
    const { checkpoint, source } = this.#options;
    if (this.#lost !== undefined) return await this.#startOver(tables, this.#lost);
    const mark = this.#mark ?? (await checkpoint.load());
    if (mark === null) return await this.#startOver(tables, 'there is no checkpoint that can be trusted');
    if (String(mark.tables) !== String(tables)) {
      return await this.#startOver(tables, 'other tables are followed than before');
    }
    this.#mark = mark;
    return await source.open(mark.position, tables);
  }

  /** The end is read first: whatever changes from then on will be told of. */
  async #startOver(tables: readonly string[], reason: string): Promise<ChangeStream> {
    const { clock, effects, fenceMs, source } = this.#options;
    const position = await source.end();
    const stream = await source.open(position, tables);
    try {
      // What stands before the end may not yet be seen by every SELECT; see `effects.ts`.
      await pause(clock, fenceMs);
      await effects.clearAll(reason);
      this.#mark = { position, run: randomBytes(6).toString('base64url'), tables };
      this.#lost = undefined;
      this.#isDirty = true;
      await this.#save();
    } catch (error) {
      await stream.close();
      throw error;
    }
    publish({ type: 'started-over', reason });
    return stream;
  }

  async #apply(changes: readonly Change[], stream: ChangeStream, cascades: Cascades): Promise<void> {
    const { checkpointMs, clock, effects } = this.#options;
    const mark = this.#mark;
    if (mark === undefined) throw new Error('a change was told of before the feed has begun');
    const boundary = changes.findLast((change) => change.type === 'boundary');
    await effects.apply(changes, cascades, `${stream.reached.log} ${mark.run}`);
    if (boundary === undefined) return;
    this.#mark = { ...mark, position: boundary.position };
    this.#isDirty = true;
    await stream.done(boundary.position);
    if (clock.now() - this.#savedAt >= checkpointMs) await this.#save();
  }

  async #save(): Promise<void> {
    if (!this.#isDirty || this.#mark === undefined) return;
    this.#isDirty = false;
    this.#savedAt = this.#options.clock.now();
    try {
      await this.#options.checkpoint.save(this.#mark);
    } catch (error) {
      this.#isDirty = true;
      throw error;
    }
  }

  async #backOff(reason: string): Promise<void> {
    if (this.#isStopping) return;
    this.#failures += 1;
    const longest = Math.min(firstPauseMs * 2 ** Math.min(this.#failures, 10), longestPauseMs);
    const inMs = Math.round(longest * (0.5 + this.#options.clock.random() / 2));
    this.#enter({ name: 'reconnecting', reason, inMs });
    await this.#sleep(inMs);
  }

  #enter(state: FeedState): void {
    this.#state = state;
    publish({ type: 'state', state });
  }

  async #sleep(ms: number): Promise<void> {
    if (this.#isStopping) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.every(ms, () => this.#wake());
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

export interface FollowerOptions {
  readonly source: ChangeSource;
  readonly lock: LeaderLock;
  readonly checkpoint: Checkpoint;
  readonly effects: Pick<Effects, 'apply' | 'clearAll'>;
  readonly clock: Clock;
  /** What is wrong with the settings of the server. Rejects when it cannot be asked. */
  readonly check: () => Promise<readonly Problem[]>;
  readonly readCascades: () => Promise<Cascades>;
  /** The tables to be followed, always in the same order. */
  readonly tablesWith: (cascades: Cascades) => readonly string[];
  /** As `EffectsOptions` has it, in milliseconds. */
  readonly fenceMs: number;
  /** The checkpoint is saved at most this often, in milliseconds: what is behind it is repeated after a fault. */
  readonly checkpointMs: number;
  /** How often the server is asked where it is, in milliseconds. */
  readonly heartbeatMs: number;
  /** How long a reader may be behind the server in silence, in milliseconds. */
  readonly stallMs: number;
  /** How often wrong settings are looked at again, in milliseconds. */
  readonly recheckMs: number;
  /** How long the store may be out of reach before another instance may try, in milliseconds. */
  readonly resignMs: number;
}

const mostAtOnce = 200;
const firstPauseMs = 50;
const longestPauseMs = 5_000;
