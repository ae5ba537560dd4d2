import fc from 'fast-check';
import { Cache } from '../../src/cache/cache.ts';
import type { Clock } from '../../src/cache/clock.ts';
import { MemoryStore } from '../../src/cache/memory-store.ts';
import type { CacheStore, Fill, Filled } from '../../src/cache/store.ts';
import { MemoryOutbox } from '../harness/engine.ts';

/**
 * Several instances of the real engine over one store and one database, of which a seeded scheduler decides what happens
 * next: every step on the store, every query and every commit ends when the scheduler says so, and takes effect at a
 * moment it chooses. What the readers saw is checked as the model in the design checks it.
 */
export interface Plan {
  /** What happens, in order of its beginning; all of it overlaps. */
  readonly actions: readonly Action[];
}

export interface Action {
  /** An invalidation is one too many: nothing has changed. */
  readonly kind: 'read' | 'write' | 'invalidate';
  readonly instance: number;
  /** For a write: where its instance is killed. */
  readonly dies: 'never' | 'before-commit' | 'after-commit';
  /** How many steps of the others come first: with none all actions begin at once, with many they come one by one. */
  readonly gap: number;
}

/** A guard of the protocol that is taken out, to show that the check finds what it prevents. */
export type Mutation = 'none' | 'no-fence' | 'no-lease' | 'no-validation';

const instances = 3;
const key = 'post:1';

export const plans: fc.Arbitrary<Plan> = fc.record({
  actions: fc.array(
    fc.record({
      kind: fc.constantFrom('read', 'read', 'read', 'write', 'write', 'invalidate'),
      instance: fc.nat(instances - 1),
      dies: fc.constantFrom('never', 'never', 'never', 'before-commit', 'after-commit'),
      gap: fc.nat(12),
    }),
    { minLength: 3, maxLength: 14 },
  ),
});

/** Plays `plan`. Rejects with the violation it found. */
export async function play({ actions }: Plan, scheduler: fc.Scheduler, mutation: Mutation): Promise<void> {
  const world = new World(scheduler, mutation);
  const all = async (): Promise<void> => {
    const running: Promise<void>[] = [];
    for (const action of actions) {
      for (let step = 0; step < action.gap; step += 1) await scheduler.schedule(Promise.resolve(), 'gap');
      running.push(world.act(action));
    }
    await Promise.race([Promise.all(running), world.quiet(running.length)]);
  };
  await scheduler.waitFor(all());
}

class World {
  readonly #scheduler: fc.Scheduler;
  readonly #caches: Cache[];
  #committed = 0;
  /** The newest value that was acknowledged to a writer or returned to a reader. */
  #seen = 0;
  #rowLock: Promise<unknown> = Promise.resolve();
  #ended = 0;
  #allEnded = Promise.withResolvers<void>();
  #expected = Number.POSITIVE_INFINITY;
  #steps = 0;
  /** Time passes with the steps, so that leases run out under loaders and waiters now and then, and fences never. */
  readonly #now = (): number => this.#steps * 20;

  constructor(scheduler: fc.Scheduler, mutation: Mutation) {
    this.#scheduler = scheduler;
    const clock: Clock = {
      now: this.#now,
      sleep: () => this.#step('sleep'),
      every: () => () => undefined,
      soon: (task) => void this.#step('turn').then(task),
      random: () => 0,
    };
    const shared = new MemoryStore({ maxBytes: 1_000_000, now: this.#now, runId: 'run' });
    const options = {
      leaseMs: 100,
      fenceMs: 30_000,
      withoutStore: 'accept',
      memoryBytes: 100_000,
      auditShare: 0,
      sweepMs: 1_000,
    } as const;
    this.#caches = Array.from(
      { length: instances },
      () => new Cache(this.#networked(shared, mutation), new MemoryOutbox(), clock, options),
    );
  }

  /** Resolves when `count` actions have ended or died. */
  quiet(count: number): Promise<void> {
    this.#expected = count;
    if (this.#ended >= count) this.#allEnded.resolve();
    return this.#allEnded.promise;
  }

  async act(action: Action): Promise<void> {
    const cache = this.#caches[action.instance];
    if (cache === undefined) throw new RangeError('no such instance');
    if (action.kind === 'read') await this.#read(cache);
    else if (action.kind === 'write') await this.#write(cache, action.dies);
    else await cache.invalidate([key]);
    this.#end();
  }

  #end(): void {
    this.#ended += 1;
    if (this.#ended >= this.#expected) this.#allEnded.resolve();
  }

  async #read(cache: Cache): Promise<void> {
    const floor = this.#seen;
    const { value } = await cache.read(key, async () => {
      await this.#step('query is sent');
      const result = Buffer.from(String(this.#committed));
      await this.#step('query is answered');
      return { value: result, meta: '', ttlMs: 60_000 };
    });
    const result = Number(value.toString());
    if (result < floor) throw new Error(`stale: read ${result} after ${floor} had been seen`);
    this.#seen = Math.max(this.#seen, result);
  }

  async #write(cache: Cache, dies: 'never' | 'before-commit' | 'after-commit'): Promise<void> {
    const { promise: unlocked, resolve: unlock } = Promise.withResolvers<void>();
    const turn = this.#rowLock;
    this.#rowLock = turn.then(() => unlocked);
    await turn;
    const mine = this.#committed + 1;
    await cache.write(async (beforeCommit) => {
      await beforeCommit([key], async () => undefined);
      if (dies === 'before-commit') await this.#die(unlock);
      await this.#step('commit is sent');
      this.#committed = mine;
      unlock();
      await this.#step('commit is answered');
      if (dies === 'after-commit') await this.#die(unlock);
    });
    this.#seen = Math.max(this.#seen, mine);
  }

  /** The instance is gone in the middle of its work: nothing of it goes on. */
  #die(unlock: () => void): Promise<never> {
    unlock();
    this.#end();
    return new Promise(() => undefined);
  }

  async #step(label: string): Promise<void> {
    await this.#scheduler.schedule(Promise.resolve(), label);
    this.#steps += 1;
  }

  /** Each call takes effect some time after it was made, and its answer arrives some time later. */
  #networked(store: MemoryStore, mutation: Mutation): CacheStore {
    const call = async <T>(label: string, effect: () => Promise<T>): Promise<T> => {
      await this.#step(`${label} is sent`);
      const result = await effect();
      await this.#step(`${label} is answered`);
      return result;
    };
    let held: string | null = null;
    return {
      // Without validation an instance takes what it holds for current, whatever happened to it meanwhile.
      validate: (...args) =>
        call('validate', async () => (mutation === 'no-validation' ? held : await store.validate(...args))),
      read: (...args) =>
        call('read', async () => {
          const entry = await store.read(...args);
          held = entry?.version ?? held;
          return entry;
        }),
      acquire: (...args) => call('acquire', () => store.acquire(...args)),
      fill: (name, token, value) =>
        call('fill', async () => {
          const filled = await (mutation === 'no-lease'
            ? fillAnyway(store, name, value)
            : store.fill(name, token, value));
          if (filled.stored) held = token;
          return filled;
        }),
      surrender: (...args) => call('surrender', () => store.surrender(...args)),
      fence: (names, ...rest) =>
        call('fence', () => (mutation === 'no-fence' ? Promise.resolve() : store.fence(names, ...rest))),
      release: (names, token) => call('release', () => store.release(names, token)),
      unique: () => store.unique(),
      ping: () => store.ping(),
      close: () => store.close(),
    };
  }
}

/** Mutation: a fill without a lease, as a cache does that simply sets what it loaded. */
async function fillAnyway(store: MemoryStore, name: string, fill: Fill): Promise<Filled> {
  await store.release([name], 'nobody');
  const acquired = await store.acquire(name, 1_000);
  if (acquired.kind !== 'lease') return { stored: false, reason: 'fenced' };
  return await store.fill(name, acquired.token, fill);
}
