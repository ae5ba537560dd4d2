import { latestOf } from '../cache/frontier.ts';
import type { Position, Since } from '../cache/store.ts';
import type { Database, Row } from '../database/database.ts';
import { Gathering } from '../gathering.ts';
import type { Resource } from './resource.ts';
import type { Statements } from './statements.ts';

/**
 * Rows by their ids. Those that are asked for in one turn are one query: what a query costs on both sides is hardly more for
 * sixteen rows than for one. It begins after all of them were asked for, as each of its own would.
 */
export class ItemRows {
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #idAt: number;
  readonly #queries: Gathering<Asked, Found>;

  constructor(resource: Resource, statements: Statements, database: Database) {
    this.#database = database;
    this.#statements = statements;
    this.#idAt = Object.keys(resource.columns).indexOf('id');
    this.#queries = new Gathering((asked) => this.#query(asked), { mostTogether });
  }

  /** See `Load`. */
  load(id: string, since: Since | undefined): Promise<Found> {
    return this.#queries.ask({ id, since });
  }

  async #query(asked: readonly Asked[]): Promise<readonly Found[]> {
    const ids = asked.map(({ id }) => id);
    const padded = [...ids];
    // Few sizes, so that few statements are prepared.
    while (!isPowerOfTwo(padded.length)) padded.push(ids[0] ?? '');
    const since = latestOf(asked.map((each) => each.since));
    const { rows, position } = await this.#database.load(this.#statements.selectItems(padded.length), padded, since);
    const byId = new Map(rows.map((row) => [String(row[this.#idAt]), row]));
    return ids.map((id) => ({ row: byId.get(id) ?? null, position }));
  }
}

interface Asked {
  readonly id: string;
  readonly since: Since | undefined;
}

interface Found {
  /** `null` when there is none. */
  readonly row: Row | null;
  readonly position: Position | undefined;
}

/** A power of two. */
const mostTogether = 16;

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}
