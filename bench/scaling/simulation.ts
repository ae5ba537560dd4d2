import { Random } from '../../test/simulation/random.ts';
import { Keys, nextAfter } from './chance.ts';
import { Entries } from './entries.ts';
import { type Figures, newStats, toFigures, type Work } from './figures.ts';
import { Instance, type Question } from './instance.ts';
import type { Costs } from './parameters.ts';
import { Queue } from './queue.ts';
import type { Levers, Shape } from './shapes.ts';
import { Timeline } from './timeline.ts';

/**
 * Many instances as a discrete-event simulation: requests come by chance, and Redis, the primary and the processor of each
 * instance are queues. The steps are those of the service: questions that depart together (`departures.ts`, `held-reads.ts`),
 * lease, load and fill, fence, COMMIT and release, notices of the event log. Discrete events and not averages, because what
 * counts are bursts (an event that all instances read at once) and feedback (a slow answer makes larger batches), which a
 * formula for the average does not have.
 *
 * Redis works off one command after the other. All costs are constants as measured, so that a queue of single commands is an
 * M/D/1 queue, which the tests compare with its formula.
 */
export class Simulation {
  readonly #run: Run;
  readonly #random: Random;
  readonly #timeline = new Timeline();
  readonly #entries = new Entries(this.#timeline);
  readonly #keys: Keys;
  readonly #masters: readonly Queue[];
  readonly #database: Queue;
  readonly #instances: readonly Instance[];
  readonly #stats = newStats();
  #events = 0;
  #warmUntil = 0;

  constructor(run: Run) {
    this.#run = run;
    const { shape, levers, count } = run;
    this.#random = new Random(run.seed);
    this.#keys = new Keys(shape.keys, shape.exponent);
    this.#masters = Array.from({ length: levers.masters }, () => new Queue());
    this.#database = new Queue(levers.databaseProcessors);
    this.#instances = Array.from({ length: count }, (_, at) => {
      const halfTrip = ((shape.regions[at % shape.regions.length] ?? 0) * 1_000) / 2;
      const place = { halfTrip, longestWait: levers.longestWaitMs * 1_000 };
      return new Instance(this.#timeline, place, (instance, together, landed) =>
        this.#validate(instance, together, landed),
      );
    });
  }

  /** Plays `seconds` after as much of a quarter to warm up. */
  play(seconds: number): Figures {
    const { shape, levers, count, costs, closed = 0 } = this.#run;
    const { reads, writes, events } = shape;
    const window = seconds * 1e6;
    this.#warmUntil = window / 4;
    const all = this.#instances;
    this.#often(closed > 0 ? 0 : reads * count, () =>
      this.#read(this.#random.pick(all), this.#keys.draw(this.#random)),
    );
    for (const instance of all) {
      for (let at = 0; at < closed; at += 1) this.#read(instance, this.#keys.draw(this.#random));
    }
    // Few come in what is played, and each is told to all: chance among them would be noise.
    this.#evenly(writes * count, () => this.#write(this.#random.pick(all), this.#keys.draw(this.#random)));
    this.#evenly(events, () => this.#append());
    for (const master of this.#masters) {
      // Two looks at the master and one at the event log.
      this.#often(3 * count, () => void master.serve(this.#timeline.now, costs.redisIdle / 3));
    }
    // Two looks at the claim, one at the outbox and one at the incarnation.
    this.#often(4 * count, () => void this.#database.serve(this.#timeline.now, costs.databaseIdle / 4));
    this.#timeline.runUntil(this.#warmUntil);
    const before = this.#workSoFar();
    this.#timeline.runUntil(this.#warmUntil + window / 2);
    const third = this.#leastBehind(window / 4);
    const fourth = this.#leastBehind(window / 4);
    // As it goes on so for another second.
    this.#stats.behind = fourth + Math.max(0, fourth - third) / (seconds / 4);
    return toFigures(this.#stats, before, this.#workSoFar(), { window, levers, count });
  }

  /** Plays on, and tells what the busiest Redis was behind at least: it is so after a burst for a moment, and when it has too much for ever. */
  #leastBehind(micros: number): number {
    const looks = 10;
    const from = this.#timeline.now;
    let least = Number.POSITIVE_INFINITY;
    for (let look = 1; look <= looks; look += 1) {
      this.#timeline.runUntil(from + (micros * look) / looks);
      const behind = this.#masters.map((master) => master.behind(this.#timeline.now));
      least = Math.min(least, Math.max(...behind));
    }
    return least / 1_000;
  }

  #often(perSecond: number, happen: () => void): void {
    const again = (): void => {
      this.#timeline.at(this.#timeline.now + nextAfter(this.#random, perSecond), () => {
        happen();
        again();
      });
    };
    if (perSecond > 0) again();
  }

  #evenly(perSecond: number, happen: () => void): void {
    const again = (afterMicros: number): void => {
      this.#timeline.at(this.#timeline.now + afterMicros, () => {
        happen();
        again(1e6 / perSecond);
      });
    };
    if (perSecond > 0) again(5e5 / perSecond);
  }

  #workSoFar(): Work {
    return {
      masters: this.#masters.map(({ work }) => work),
      database: this.#database.work,
      instances: this.#instances.reduce((sum, { work }) => sum + work, 0),
    };
  }

  get #isWarm(): boolean {
    return this.#timeline.now >= this.#warmUntil;
  }

  #masterOf(key: number): Queue {
    // Slots are spread by a hash; the keys here are numbered by how hot they are.
    return this.#masters[key % this.#masters.length] ?? new Queue();
  }

  #read(instance: Instance, key: number): void {
    const { costs } = this.#run;
    const { now } = this.#timeline;
    instance.spend(costs.instanceHit / 2);
    if (this.#isFresh(instance, key)) this.#answer(instance, [now]);
    else instance.ask(key, now);
  }

  /** With bounded staleness: whether it may be answered unasked. Of what was asked for before the beginning chance decides. */
  #isFresh(instance: Instance, key: number): boolean {
    const { levers, shape } = this.#run;
    const { now } = this.#timeline;
    if (levers.maxStalenessMs === 0) return false;
    const known = instance.freshUntil.get(key);
    if (known !== undefined) return known > now;
    // In the long run one of so many requests asks, and the others come within the time that follows.
    const among = 1 + shape.reads * this.#keys.shareOf(key) * (levers.maxStalenessMs / 1_000);
    const isFresh = this.#random.chance(1 - 1 / among);
    const until = isFresh ? now + this.#random.fraction() * levers.maxStalenessMs * 1_000 : 0;
    instance.freshUntil.set(key, until);
    return isFresh;
  }

  #answer(instance: Instance, readers: readonly number[]): void {
    const { closed = 0, costs } = this.#run;
    const stats = this.#stats;
    for (const arrivedAt of readers) {
      const doneAt = instance.spend(costs.instanceHit / 2);
      if (this.#isWarm) stats.reads.push((doneAt - arrivedAt) / 1_000);
      if (closed > 0) this.#timeline.at(doneAt, () => this.#read(instance, this.#keys.draw(this.#random)));
    }
  }

  #validate(instance: Instance, together: readonly Question[], landed: () => void): void {
    const { costs, levers } = this.#run;
    const sentAt = this.#timeline.now;
    const parts = new Map<Queue, Question[]>();
    for (const question of together) {
      const master = this.#masterOf(question.key);
      const part = parts.get(master);
      if (part === undefined) parts.set(master, [question]);
      else part.push(question);
    }
    let left = parts.size;
    for (const [master, questions] of parts) {
      instance.trip(master, costs.redisText + costs.redisQuestion * questions.length, () => {
        const { now } = this.#timeline;
        if (this.#isWarm) {
          this.#stats.texts += 1;
          this.#stats.questions += questions.length;
          if (now - sentAt > levers.redisTimeoutMs * 1_000) this.#stats.late += questions.length;
        }
        for (const question of questions) this.#land(instance, question, sentAt);
        left -= 1;
        if (left === 0) landed();
      });
    }
  }

  #land(instance: Instance, question: Question, askedAt: number): void {
    const { key } = question;
    const answered = (): void => {
      const { maxStalenessMs } = this.#run.levers;
      if (maxStalenessMs > 0) instance.freshUntil.set(key, askedAt + maxStalenessMs * 1_000);
      this.#answer(instance, instance.land(question));
    };
    if (this.#entries.isCurrent(key, instance.known.get(key) ?? 0)) answered();
    else this.#miss(instance, key, answered);
  }

  /** Acquire, then what it says. */
  #miss(instance: Instance, key: number, answered: () => void): void {
    const { costs } = this.#run;
    const master = this.#masterOf(key);
    const load = (then: () => void): void => {
      if (this.#isWarm) this.#stats.loads += 1;
      instance.spend(costs.instanceMiss - costs.instanceHit);
      instance.trip(this.#database, costs.databaseSelect, then);
    };
    const read = (): void =>
      instance.trip(master, costs.redisRead, () => {
        instance.known.set(key, this.#entries.versionOf(key));
        answered();
      });
    instance.trip(master, costs.redisMiss / 2, () => {
      const version = this.#entries.versionOf(key);
      const acquired = this.#entries.acquire(key, () => this.#miss(instance, key, answered));
      if (acquired === 'hit') read();
      if (acquired === 'bypass') load(answered);
      if (acquired !== 'lease') return;
      load(() => {
        const fill = (): void => this.#entries.fill(key, version);
        instance.trip(master, costs.redisMiss / 2, answered, (doneAt) => this.#timeline.at(doneAt, fill));
        instance.known.set(key, version);
      });
    });
  }

  /** Four statements, the fence, COMMIT, the release, the event: `docs/performance.md`, "Round trips". */
  #write(instance: Instance, key: number): void {
    const { costs } = this.#run;
    const began = this.#timeline.now;
    instance.spend(costs.instanceWrite);
    let lift = (): void => undefined;
    const statement: Step = (then) => instance.trip(this.#database, costs.databaseWrite / 5, then);
    /** Some of the four scripts of a write, and what the last of them does. */
    const scripts = (server: Queue, count: number, happen: () => void): Step => {
      const done = (doneAt: number): void => this.#timeline.at(doneAt, happen);
      return (then) => instance.trip(server, (costs.redisWrite / 4) * count, then, done);
    };
    const fence = (): void => {
      lift = this.#entries.fence(key);
    };
    const [master, log] = [this.#masterOf(key), this.#masterOf(0)];
    const steps: readonly Step[] = [
      ...Array.from({ length: 4 }, () => statement),
      // The version is reserved beside it.
      scripts(master, 2, fence),
      statement,
      scripts(master, 1, () => lift()),
      scripts(log, 1, () => this.#tell()),
    ];
    const step = (at: number): void => {
      const next = steps[at];
      if (next !== undefined) next(() => step(at + 1));
      else if (this.#isWarm) this.#stats.writes.push((this.#timeline.now - began) / 1_000);
    };
    step(0);
  }

  #append(): void {
    const doneAt = this.#masterOf(0).serve(this.#timeline.now, this.#run.costs.redisAppend);
    this.#timeline.at(doneAt, () => this.#tell());
  }

  /** A notice to every instance that follows the log; each then reads it, one reading at a time. */
  #tell(): void {
    const { costs, levers } = this.#run;
    const followers = Math.ceil(this.#instances.length * levers.followers);
    const log = this.#masterOf(0);
    const began = this.#timeline.now;
    this.#events += 1;
    const toldAt = log.serve(began, costs.redisNotice * followers);
    for (const instance of this.#instances.slice(0, followers)) {
      this.#timeline.at(toldAt + instance.halfTrip, () => this.#look(instance, began));
    }
  }

  #look(instance: Instance, eventAt: number): void {
    instance.hasMoreEvents = true;
    if (instance.isReadingEvents) return;
    instance.isReadingEvents = true;
    instance.hasMoreEvents = false;
    const { costs, shape, levers } = this.#run;
    let end = 0;
    const read = (): void => {
      instance.isReadingEvents = false;
      const sent = (end - instance.heard) * shape.sockets * costs.instanceSocketEvent;
      instance.heard = end;
      const doneAt = instance.spend(sent);
      if (this.#isWarm) this.#stats.events.push((doneAt - eventAt) / 1_000);
      if (instance.hasMoreEvents) this.#look(instance, this.#timeline.now);
    };
    const micros = levers.noticesCarryEvents ? 0 : costs.redisEventRead;
    instance.trip(this.#masterOf(0), micros, read, () => {
      end = this.#events;
    });
  }
}

export interface Run {
  readonly shape: Shape;
  readonly levers: Levers;
  readonly costs: Costs;
  readonly count: number;
  readonly seed: number;
  /** Instead of requests that come by chance: so many connections to each instance, each with one request all the time. */
  readonly closed?: number;
}

/** Ends by calling what comes then. */
type Step = (then: () => void) => void;
