import type { Clock } from '../cache/clock.ts';
import type { Position } from '../cache/store.ts';
import { withDeadline } from '../deadline.ts';
import { publishLoad } from './channels.ts';
import type { Database, Row, SqlValue } from './database.ts';
import { waitFor } from './mysql-positions.ts';

/** What a replica is asked through; `onConnect` is called before each new connection is used. */
export type OpenReplica = (onConnect: () => void) => Pick<Database, 'query' | 'close'>;

/** The replicas of a database: each asked in turn, as long as it answers and keeps up. */
export class Replicas {
  readonly #replicas: readonly Replica[];
  #next = 0;

  constructor(open: readonly OpenReplica[], clock: Pick<Clock, 'now'>, waitMs: number) {
    this.#replicas = open.map((each) => new Replica(each, clock, waitMs));
  }

  /** Rows as of a moment no earlier than `position`; `undefined` when no replica shows it in time. */
  async load(sql: string, params: readonly SqlValue[], position: Position): Promise<Row[] | undefined> {
    const usable = this.#replicas.filter((replica) => replica.isUsable(position));
    this.#next += 1;
    const rows = await usable[this.#next % Math.max(1, usable.length)]?.load(sql, params, position);
    publishLoad(rows === undefined ? 'behind' : 'replica');
    return rows;
  }

  async close(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => replica.close()));
  }
}

/**
 * One replica. What it has shown once it goes on showing, as long as it runs: each new connection may be to one that was
 * restored to an earlier time, so from then on it is asked again, and what was under way does not count.
 */
class Replica {
  readonly #database: Pick<Database, 'query' | 'close'>;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #waitMs: number;
  readonly #waits = new Map<Position, Promise<boolean>>();
  #reached: Position | undefined;
  #generation = 0;
  #notBefore = 0;
  #keepsOrder: Promise<boolean> | undefined;
  /** How many loads are under way, and since when none was answered. */
  #underWay = 0;
  #silentSince = 0;

  constructor(open: OpenReplica, clock: Pick<Clock, 'now'>, waitMs: number) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#database = open(() => {
      this.#generation += 1;
      this.#reached = undefined;
      this.#keepsOrder = undefined;
    });
  }

  isUsable(position: Position): boolean {
    const now = this.#clock.now();
    if (this.#underWay > 0 && now - this.#silentSince > silentMs) return false;
    return now >= this.#notBefore || shows(this.#reached, position);
  }

  async load(sql: string, params: readonly SqlValue[], position: Position): Promise<Row[] | undefined> {
    if (this.#underWay === 0) this.#silentSince = this.#clock.now();
    this.#underWay += 1;
    try {
      if (!(await this.#reach(position))) {
        this.#rest();
        return undefined;
      }
      const generation = this.#generation;
      const rows = await this.#database.query(sql, params);
      return generation === this.#generation ? rows : undefined;
    } catch {
      // Whatever is wrong with a replica, the primary is asked.
      this.#rest();
      return undefined;
    } finally {
      this.#underWay -= 1;
      this.#silentSince = this.#clock.now();
    }
  }

  /** Whether it shows `position` within the time that a load may wait for it. */
  async #reach(position: Position): Promise<boolean> {
    if (shows(this.#reached, position)) return true;
    const known = this.#waits.get(position);
    if (known !== undefined) return await known;
    const wait = this.#wait(position).finally(() => this.#waits.delete(position));
    this.#waits.set(position, wait);
    return await wait;
  }

  async #wait(position: Position): Promise<boolean> {
    const { sql, gtid } = waitFor(position);
    const asked = this.#askInOrder(sql, gtid);
    asked.catch(() => undefined);
    const generation = await withDeadline(this.#waitMs + graceMs, asked, () => undefined);
    if (generation === undefined) return false;
    if (generation === this.#generation && !shows(this.#reached, position)) this.#reached = position;
    return generation === this.#generation;
  }

  /** Resolves with the generation in which it was there; `undefined` when it is not. */
  async #askInOrder(sql: string, gtid: string): Promise<number | undefined> {
    if (!(await this.#looksOrdered())) return undefined;
    const generation = this.#generation;
    const [[answer] = []] = await this.#database.query(sql, [gtid, this.#waitMs / 1_000]);
    return Number(answer) === 0 ? generation : undefined;
  }

  /** Asked once per connection; an answer that did not come is none. */
  #looksOrdered(): Promise<boolean> {
    this.#keepsOrder ??= keepsCommitOrder(this.#database).catch((error: unknown) => {
      this.#keepsOrder = undefined;
      throw error;
    });
    return this.#keepsOrder;
  }

  /** Whoever comes meanwhile need not find out the same. */
  #rest(): void {
    this.#notBefore = this.#clock.now() + restMs;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

const restMs = 1_000;
/** One that has answered nothing for so long is passed over while its answers are awaited. */
const silentMs = 500;
/** Beside the wait itself: the way there and back, and a connection that has to be made. */
const graceMs = 50;

/** A replica that commits in another order than the primary may show a commit, and not one before it. */
export async function keepsCommitOrder(replica: Pick<Database, 'query'>): Promise<boolean> {
  const rows = await replica.query(selectOrder);
  const values = new Map(rows.map(([name, value]) => [String(name).replace(/^slave_/, 'replica_'), String(value)]));
  // MariaDB keeps the order in every mode.
  if (!values.has('replica_preserve_commit_order')) return true;
  return values.get('replica_preserve_commit_order') === 'ON' || Number(values.get('replica_parallel_workers')) <= 1;
}

const selectOrder =
  "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('replica_preserve_commit_order', 'slave_preserve_commit_order', " +
  "'replica_parallel_workers', 'slave_parallel_workers')";

function shows(reached: Position | undefined, position: Position): boolean {
  if (reached === undefined) return false;
  const [stream, number] = position.split(' ');
  const [reachedStream, reachedNumber] = reached.split(' ');
  return stream === reachedStream && BigInt(number ?? 0) <= BigInt(reachedNumber ?? 0);
}
