import { type Key, splitKey } from '../../src/cache/key.ts';
import { toBuffer } from '../../src/cache/rope.ts';
import { itemKey, keys, namesAffectedBy, rows } from './data.ts';
import type { Instance } from './instance.ts';
import { metaOf } from './simulated-list.ts';
import { Outsider } from './outsider.ts';
import type { World } from './world.ts';

/** What clients ask of the instances; each answer is judged when it comes. */
export class Workload {
  readonly #world: World;
  readonly #outsider: Outsider;
  #values = 0;
  #requests = 0;

  constructor(world: World) {
    this.#world = world;
    this.#outsider = new Outsider(world);
  }

  /** Lets requests come: in bursts, with pauses in which leases, values and recoveries run out. Returns when the last does. */
  schedule(): number {
    const { random, timeline, scenario } = this.#world;
    let at = timeline.now;
    for (let count = 0; count < scenario.requests; count += 1) {
      at += random.chance(0.06) ? random.between(0, 1_500) : random.between(0, scenario.gapMs);
      timeline.at(at, () => this.#request());
    }
    return at;
  }

  /** Changes of other programs that no instance has acknowledged are told again. */
  tellAgain(): void {
    for (const row of this.#outsider.untold) this.#tell(this.#world.random.pick(this.#world.instances), row);
  }

  #request(): void {
    const { random, scenario, instances } = this.#world;
    const instance = random.pick(instances);
    if (!random.chance(scenario.writes)) this.read(instance, random.pick(keys));
    else if (scenario.outsideWrites && random.chance(0.4)) this.#writeOutside(instance);
    else if (random.chance(0.05)) this.#track(instance, instance.invalidate(namesAffectedBy(random.pick(rows))));
    else this.#write(instance);
  }

  /** Asks an instance for a key. `ended` is told what kind of answer it was. */
  read(instance: Instance, key: Key, ended?: (kind: string) => void): void {
    const world = this.#world;
    const { recoveredAt, database, host } = instance;
    const asked = { key, instance: host.name, askedAt: world.timeline.events, recoveredAt, origin: database.origin };
    const blurred = world.blurredForMs > 0;
    this.#requests += 1;
    const number = this.#requests;
    world.log(() => `#${number} ${host.name} is asked for ${key}`);
    const reading = instance.read(key).then(({ value, meta, outcome }) => {
      const text = toBuffer(value).toString();
      const kind = outcome.kind === 'bypass' ? outcome.reason : outcome.kind;
      world.log(() => `#${number} ${host.name} answers ${text} (${kind})`);
      world.tally.count(`read: ${kind}`);
      const wrong = blurred ? undefined : world.oracle.judge({ ...asked, value: text });
      if (wrong !== undefined) world.fail(`#${number} ${host.name} ${wrong}`);
      if (meta !== metaOf(text)) world.fail(`#${number} ${key}: the value ${text} came with the meta ${meta}`);
      ended?.(kind);
    });
    this.#track(instance, reading);
  }

  #write(instance: Instance): void {
    const world = this.#world;
    const row = world.random.pick(rows);
    const value = this.#newValue();
    // The first row is always there; the second one comes and goes.
    const toggles = row !== '1' && world.random.chance(0.7);
    const needless = world.random.chance(0.05);
    const change = (before: string | null): string | null | undefined => {
      if (needless) return undefined;
      if (toggles) return before === null ? value : null;
      return before === null ? undefined : value;
    };
    world.log(() => `${instance.host.name} is to write ${value} to row ${row}`);
    const writing = instance.write(row, change).then((after) => {
      world.log(() => `${instance.host.name} acknowledges row ${row} = ${String(after)}`);
      world.tally.count('writes');
      if (typeof after === 'string' && !world.oracle.knows(itemKey(row), after)) {
        world.fail(`row ${row}: ${after} was acknowledged and never committed`);
      }
    });
    this.#track(instance, writing);
  }

  #writeOutside(instance: Instance): void {
    const row = this.#world.random.pick(rows);
    void this.#outsider.write(row, this.#newValue()).then((written) => {
      // The instance may be gone by now.
      if (written)
        this.#tell(
          this.#world.instances.includes(instance) ? instance : this.#world.random.pick(this.#world.instances),
          row,
        );
    });
  }

  #tell(instance: Instance, row: string): void {
    const world = this.#world;
    const names = namesAffectedBy(row);
    const askedAt = world.timeline.events;
    world.log(() => `${instance.host.name} is told that row ${row} was changed`);
    const telling = instance.invalidate(names).then(() => {
      world.log(() => `${instance.host.name} has invalidated row ${row}`);
      world.tally.count('writes from outside');
      this.#outsider.told(row, askedAt);
      world.oracle.acknowledged(names, askedAt);
    });
    this.#track(instance, telling);
  }

  #newValue(): string {
    this.#values += 1;
    return String(this.#values);
  }

  /** A request may fail while something is broken, but it must end. */
  #track(instance: Instance, request: Promise<void>): void {
    const world = this.#world;
    const began = world.timeline.now;
    instance.pending += 1;
    const ended = (): void => {
      instance.pending -= 1;
      const tookMs = world.timeline.now - began;
      if (tookMs > longestRequestMs) world.fail(`a request took ${tookMs} ms`);
    };
    request.then(ended, (error: unknown) => {
      ended();
      world.tally.count('requests that failed');
      world.log(() => `${instance.host.name} fails: ${String(error)}`);
      const { faults, deadlocks, slowCommits, redisDelayMs, databaseDelayMs } = world.scenario;
      // Where all is slow, a queue of writers is reason enough.
      const slow = slowCommits > 0 || redisDelayMs > 0.2 || databaseDelayMs > 0.2;
      const excused = faults.length > 0 || deadlocks > 0 || slow;
      if (!excused) world.fail(`a request failed without a fault: ${String(error)}`);
    });
  }
}

/** Of a key without its part. */
export function nameOf(key: Key): string {
  return splitKey(key).name;
}

const longestRequestMs = 15_000;
