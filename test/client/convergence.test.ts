import { describe, expect, test } from '@jest/globals';
import { array, assert, asyncProperty, constantFrom, integer, nat, record } from 'fast-check';
import { type CacheClient, createCacheClient, type Post } from '../../client/src/client.ts';
import { ManualTiming, settle } from './manual-timing.ts';
import { SimulatedService } from './simulated-service.ts';

/**
 * Whatever the order in which reads are answered, changes are told and connections come and go: what is shown never goes
 * back, and ends equal to the database. `CLIENT_SEED` and `CLIENT_RUNS` repeat or lengthen a run.
 */
const seed = Number(process.env['CLIENT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const runs = Number(process.env['CLIENT_RUNS'] ?? 400);

type Step = { readonly what: (typeof kinds)[number]; readonly pick: number; readonly amount: number };

const kinds = [
  ...(['insert', 'update', 'update', 'delete', 'append', 'append', 'append', 'append any', 'deliver'] as const),
  ...(['deliver', 'deliver', 'deliver', 'read', 'read', 'read', 'answer', 'answer', 'answer', 'fail'] as const),
  ...(['wait', 'wait', 'wait long', 'accept', 'accept', 'accept a part', 'refuse', 'cut', 'cut for good'] as const),
  ...(['drain', 'renew', 'trim', 'tell here', 'tell elsewhere', 'turn', 'calm', 'calm'] as const),
];

const steps = array(record({ what: constantFrom(...kinds), pick: nat(20), amount: integer({ min: 0, max: 2_500 }) }), {
  maxLength: 120,
  size: 'max',
});

class World {
  readonly timing = new ManualTiming();
  readonly service = new SimulatedService(this.timing);
  readonly client: CacheClient;
  readonly #looks: Look[];
  readonly #isPrompt: boolean;

  constructor(chances: readonly number[], isPrompt: boolean) {
    let at = 0;
    this.timing.chance = () => (chances[at++ % Math.max(1, chances.length)] ?? 0) / 1_000;
    this.#isPrompt = isPrompt;
    const { fetch, openSocket } = this.service;
    const { timing } = this;
    this.client = createCacheClient({ url: 'http://service', fetch, openSocket, timing });
    this.#looks = [
      new Look(
        'all',
        () => this.client.posts.list(),
        () => this.service.list(),
      ),
      new Look(
        'the newest three',
        () => this.client.posts.list({ limit: 3 }),
        () => this.service.list(3),
      ),
      new Look(
        'one',
        () => this.client.posts.item(2),
        () => this.service.rows.get(2) ?? null,
      ),
    ];
    for (const look of this.#looks) look.begin();
  }

  async take({ what, pick, amount }: Step): Promise<void> {
    const { service } = this;
    const actions: Readonly<Record<Step['what'], () => unknown>> = {
      insert: () => service.insert(pick % 3 === 0 ? amount * 20 : 0),
      update: () => service.update(pick),
      delete: () => service.delete(pick),
      append: () => service.append(0),
      'append any': () => service.append(pick),
      deliver: () => service.deliver(),
      read: () => service.read(pick),
      answer: () => service.answer(pick),
      fail: () => service.fail(pick, pick % 2 === 0 ? 0 : 503),
      wait: () => this.#wait(amount / 10),
      'wait long': () => this.#wait(amount * 4),
      accept: () => service.accept(),
      'accept a part': () => service.accept(pick % 4),
      refuse: () => service.refuse(pick % 3 === 0),
      cut: () => service.cut(false),
      'cut for good': () => service.cut(true),
      drain: () => service.drain(amount),
      renew: () => service.renew(),
      trim: () => service.trim(),
      'tell here': () => service.tellHere(pick, true),
      'tell elsewhere': () => service.tellHere(pick, false),
      calm: () => this.#calmDown(),
      turn: () => this.#looks[pick % this.#looks.length]?.turn(),
    };
    await actions[what]();
    await settle();
    this.check();
  }

  /** Nothing is left on its way. */
  async comeToRest(): Promise<void> {
    for (const look of this.#looks) look.begin();
    this.service.renewIfDue();
    for (let round = 0; round < 2_000; round += 1) {
      for (const what of ['append', 'accept', 'deliver', 'read', 'answer'] as const) {
        await this.take({ what, pick: 0, amount: 0 });
      }
      const { nextMs } = this.timing;
      if (this.service.isQuiet && nextMs === undefined) return;
      if (nextMs !== undefined) await this.timing.advance(nextMs);
      this.check();
    }
    throw new Error('the client does not come to rest');
  }

  /** Everything is told and answered, and stays so for long enough to be settled. */
  async #calmDown(): Promise<void> {
    const untilMs = this.timing.now() + 3_500;
    while (this.timing.now() < untilMs) {
      for (const what of ['append', 'accept', 'deliver', 'read', 'answer'] as const) {
        await this.take({ what, pick: 0, amount: 0 });
      }
      if (this.service.isIdle) await this.timing.advance(Math.min(500, untilMs - this.timing.now()));
    }
  }

  check(): void {
    const isLate = this.service.longestLagMs > promptMs;
    for (const look of this.#looks) look.check(this.service, { isLate });
  }

  expectDone(): void {
    expect(this.client.state.getSnapshot()).toEqual({ name: 'live' });
    for (const look of this.#looks) look.expectDone();
  }

  /** A service that is prompt tells of a change within two seconds, or ends the epoch. */
  async #wait(ms: number): Promise<void> {
    const { service } = this;
    while (this.#isPrompt && service.oldestUntoldMs + ms > promptMs) {
      if (service.isTold) break;
      service.append(0);
      service.deliver();
      await settle();
      this.check();
    }
    await this.timing.advance(ms);
  }
}

const promptMs = 2_000;

type Shown = ReturnType<CacheClient['posts']['list']> | ReturnType<CacheClient['posts']['item']>;

/** Somebody who looks at a collection. */
class Look {
  readonly #name: string;
  readonly #open: () => Shown;
  readonly #wanted: () => unknown;
  #stop: (() => void) | undefined;
  /** Of each row: the last of its states that was seen. */
  readonly #seen = new Map<number, number>();
  readonly #gone = new Set<number>();

  constructor(name: string, open: () => Shown, wanted: () => unknown) {
    this.#name = name;
    this.#open = open;
    this.#wanted = wanted;
  }

  begin(): void {
    this.#stop ??= this.#open().subscribe(() => undefined);
  }

  /** Looks away, or again. */
  turn(): void {
    if (this.#stop === undefined) return this.begin();
    this.#stop();
    this.#stop = undefined;
  }

  check(service: SimulatedService, { isLate }: { isLate: boolean }): void {
    const { data, status } = this.#open().getSnapshot();
    if (status !== 'ready') return;
    const rows: Post[] = [data ?? []].flat();
    for (const { id, title } of rows) {
      const at = service.history.get(id)?.indexOf(title) ?? -1;
      const before = this.#seen.get(id) ?? -1;
      if (at < before) throw new Error(`${this.#name}: row ${id} went back from ${before} to ${at}`);
      this.#seen.set(id, at);
      if (this.#gone.has(id) && !isLate) throw new Error(`${this.#name}: row ${id} came back`);
    }
    const shown = new Set(rows.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!shown.has(id) && !service.rows.has(id)) this.#gone.add(id);
  }

  expectDone(): void {
    const { status, data, isStale, problem } = this.#open().getSnapshot();
    expect([this.#name, status, isStale, problem]).toEqual([this.#name, 'ready', false, undefined]);
    expect([this.#name, data]).toEqual([this.#name, this.#wanted()]);
  }
}

describe('what is shown', () => {
  test.each([
    ['by a service that tells of changes promptly', true],
    ['by a service whose change feed may be far behind', false],
  ])(
    'ends equal to the database and never goes back, %s',
    async (_, isPrompt) => {
      process.stdout.write(`convergence: CLIENT_SEED=${seed} CLIENT_RUNS=${runs}\n`);
      await assert(
        asyncProperty(steps, array(nat(999), { maxLength: 20 }), async (taken, chances) => {
          const world = new World(chances, isPrompt);
          for (const step of taken) await world.take(step);
          await world.comeToRest();
          world.expectDone();
          world.client.close();
          expect(world.timing.waiting).toBe(0);
        }),
        { seed, numRuns: runs, endOnFailure: false },
      );
    },
    120_000,
  );
});
