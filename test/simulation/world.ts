import { fenceTable } from '../../src/redis/place.ts';
import { initially } from './data.ts';
import { DatabaseService } from './database/service.ts';
import { strike } from './faults.ts';
import { Instance } from './instance.ts';
import { type Flags, type Mutation, noFlags, rewriteOf } from './mutation.ts';
import { Oracle } from './oracle.ts';
import { Random } from './random.ts';
import type { SimulatedRedis } from './redis/server.ts';
import { RedisService } from './redis/service.ts';
import { drawScenario, type FaultKind, limits, type Scenario } from './scenario.ts';
import { Tally } from './tally.ts';
import { Timeline } from './timeline.ts';

/** A promise of the product was broken. */
class Violation extends Error {
  override readonly name = 'Violation';
}

/** The servers, the instances, and what goes wrong with them. */
export class World {
  readonly scenario: Scenario;
  readonly flags: Flags;
  readonly random: Random;
  readonly timeline = new Timeline();
  readonly oracle: Oracle;
  readonly redis: RedisService;
  readonly database: DatabaseService;
  readonly instances: Instance[] = [];
  readonly tally = new Tally();
  /** How long a value that is loaded now may be served. */
  ttlMs: number;
  readonly #log: ((line: string) => void) | undefined;
  /** Faults that wait for the moment before a COMMIT. */
  readonly #ambushes: FaultKind[] = [];
  #started = 0;
  #blurredUntil = 0;
  #splitUntil = 0;
  #cutOffUntil = 0;
  #failedOver = false;
  #claimedAt = 0;
  #faultsEnded = false;

  constructor(seed: number, { mutation, log }: SimulationOptions) {
    this.#log = log;
    this.scenario = { ...drawScenario(seed), ...mutation?.scenario };
    this.flags = { ...noFlags, ...mutation?.flags };
    this.ttlMs = this.scenario.ttlMs;
    this.random = new Random(seed);
    this.oracle = new Oracle(() => this.timeline.events, initially, this.scenario.composed);
    this.redis = new RedisService(this.timeline, this.random, {
      sameRunId: this.flags.sameRunId,
      sameReplicationId: this.flags.sameReplicationId,
      rewrite: rewriteOf(mutation),
      deleted: ([name = '', guard], server) => {
        // A value alone goes when its version is stored without it.
        if (guard === undefined) return;
        this.tally.deletion(name);
        this.oracle.deleted(name, loadsShow(server));
      },
    });
    this.database = new DatabaseService(this.timeline, initially, {
      sameOrigin: this.flags.sameOrigin,
      replicasUnasked: this.flags.replicasUnasked,
      onCommit: (report) => {
        this.oracle.committed(report, this.database.position);
        const { changed, recorded, before, after } = report;
        if (before.claim !== after.claim) this.#claimedAt = this.timeline.now;
        if (changed.length === 0 && recorded.length === 0) return;
        this.log(
          () => `COMMIT of row ${changed.join()}, recorded ${recorded.join()}; now ${[...after.rows].join(' ')}`,
        );
      },
      onFailOver: (committed, origin) => {
        this.oracle.failedOver(committed, origin);
        this.log(() => `the database is ${origin} now, with ${[...committed.rows].join(' ')}`);
      },
    });
    for (let count = 0; count < this.scenario.instances; count += 1) this.#start();
  }

  log(line: () => string): void {
    if (this.#log === undefined) return;
    const { events, now } = this.timeline;
    this.#log(`${String(events).padStart(5)} ${now.toFixed(2).padStart(9)}  ${line()}`);
  }

  fail(reason: string): void {
    this.log(() => `VIOLATION ${reason}`);
    this.timeline.fail(new Violation(reason));
  }

  async play(ms: number): Promise<void> {
    await this.timeline.playUntil(this.timeline.now + ms, mostEvents);
  }

  /** Ends an instance; another one takes its place `afterMs` later. */
  replace(instance: Instance, afterMs: number): void {
    instance.kill();
    this.instances.splice(this.instances.indexOf(instance), 1);
    // Someone has to be there to be asked.
    if (this.instances.length === 0) this.#start();
    else this.timeline.after(afterMs, () => this.#start());
  }

  /**
   * Two Redis servers are in use. That must not be seen, but in two cases: the stated exception (a write is accepted while
   * its instance cannot reach the Redis in use), and an instance that is cut off from the database at the same time.
   */
  split(ms: number): void {
    const { now } = this.timeline;
    this.#splitUntil = Math.max(this.#splitUntil, now + ms + limits.longestBlurMs);
    if (this.scenario.withoutStore === 'accept' || now < this.#cutOffUntil) this.#blur();
  }

  cutFromDatabase(instance: Instance, ms: number): void {
    const { now } = this.timeline;
    instance.database.cut(ms);
    this.#cutOffUntil = Math.max(this.#cutOffUntil, now + ms + limits.longestBlurMs);
    if (now < this.#splitUntil) this.#blur();
  }

  #blur(): void {
    this.#blurredUntil = Math.max(this.#blurredUntil, this.#splitUntil, this.#cutOffUntil);
  }

  get blurredForMs(): number {
    return Math.max(0, this.#blurredUntil - this.timeline.now);
  }

  /** Whether all instances know which Redis is in use. */
  get claimSettled(): boolean {
    return this.timeline.now > this.#claimedAt + limits.longestBlurMs;
  }

  /** Once per run. */
  mayFailOver(): boolean {
    const first = !this.#failedOver;
    this.#failedOver = true;
    return first;
  }

  /** Lets faults happen until then: some at any time, some in the moment before a COMMIT. */
  scheduleFaults(untilMs: number): void {
    const { faults, mostFaults } = this.scenario;
    const { now } = this.timeline;
    for (let count = 0; faults.length > 0 && count < mostFaults; count += 1) {
      const kind = this.random.pick(faults);
      this.timeline.at(this.random.between(now, untilMs), () => {
        if (this.random.chance(0.3)) this.redis.save();
        if (this.random.chance(0.5)) this.#ambushes.push(kind);
        else this.#strike(kind);
      });
    }
  }

  endFaults(): void {
    this.#faultsEnded = true;
    this.redis.traffic.jams = 0;
    this.ttlMs = 60_000;
  }

  #start(): void {
    this.#started += 1;
    const instance = new Instance(`i${this.#started}`, {
      redis: this.redis,
      database: this.database,
      scenario: this.scenario,
      flags: this.flags,
      log: (line) => this.log(line),
      ttlMs: () => this.ttlMs,
      onFenced: (fenced) => this.#ambush(fenced),
      onLoad: (answer) => this.tally.count(`load: ${answer}`),
    });
    this.instances.push(instance);
    this.log(() => `${instance.host.name} starts`);
  }

  #strike(kind: FaultKind, aim?: Instance): void {
    if (this.#faultsEnded) return;
    this.tally.fault(kind);
    const what = strike(kind, this, aim !== undefined && this.instances.includes(aim) ? aim : undefined);
    this.log(() => `FAULT ${kind} ${what}`);
  }

  #ambush(instance: Instance): void {
    const kind = this.#ambushes.pop();
    if (kind === undefined) return;
    this.timeline.after(this.random.between(0, this.random.chance(0.5) ? 2 : 20), () => this.#strike(kind, instance));
  }
}

export interface SimulationOptions {
  readonly mutation?: Mutation | undefined;
  /** Gets every line of the log. */
  readonly log?: ((line: string) => void) | undefined;
}

/** Where in the log of the database replicas must have come to that answer loads; `undefined` when the primary answers them. */
function loadsShow({ keyspace, now, runId, replicationId }: SimulatedRedis): string | undefined {
  const position = keyspace.hash(fenceTable, now)?.get('position');
  // What another run has noted counts as little as the table that it stands in.
  if (position?.startsWith(`${runId}.${replicationId}.`) !== true) return undefined;
  return position.slice(position.lastIndexOf('.') + 1);
}

const mostEvents = 300_000;
