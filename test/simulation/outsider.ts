import { valueOf } from './data.ts';
import { SimulatedDatabase } from './database/simulated-database.ts';
import { outsider, statements } from './database/statements.ts';
import { Host } from './host.ts';
import { limits } from './scenario.ts';
import type { World } from './world.ts';

/** Another program: it writes to the tables, and knows nothing of fences. */
export class Outsider {
  readonly #world: World;
  readonly #database: SimulatedDatabase;
  /** When a row was changed last whose change no instance has acknowledged yet; in events. */
  readonly #untold = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    const host = new Host(outsider, world.timeline, world.random);
    const calm = {
      delayMs: 1,
      deadlocks: 0,
      slowCommits: 0,
      valueOf,
      replicas: 0,
      onLoad: () => undefined,
      position: () => '',
      onConnect: () => undefined,
    };
    this.#database = new SimulatedDatabase(host, world.database, { ...limits, ...calm });
  }

  /** Whether it may have been committed. */
  async write(row: string, value: string): Promise<boolean> {
    try {
      await this.#database.transaction(async (transaction) => {
        const [[before] = []] = await transaction.query(statements.lock, [row]);
        const after = row === '1' || before === null ? value : null;
        await transaction.execute(statements.write, [row, after, outsider]);
      });
    } catch {
      // Even then it may be committed, now or a little later: recovery tells of it once more.
    }
    this.#untold.set(row, this.#world.timeline.events);
    return true;
  }

  get untold(): readonly string[] {
    return [...this.#untold.keys()];
  }

  /** An instance was told at `at`, and has acknowledged. */
  told(row: string, at: number): void {
    if ((this.#untold.get(row) ?? Number.POSITIVE_INFINITY) <= at) this.#untold.delete(row);
  }
}
