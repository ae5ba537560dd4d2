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
  readonly #queries: Gathering<string, Row | null>;

  constructor(resource: Resource, statements: Statements, database: Database) {
    this.#database = database;
    this.#statements = statements;
    this.#idAt = Object.keys(resource.columns).indexOf('id');
    this.#queries = new Gathering((ids) => this.#query(ids), { mostTogether });
  }

  /** `null` when there is none. */
  load(id: string): Promise<Row | null> {
    return this.#queries.ask(id);
  }

  async #query(ids: readonly string[]): Promise<readonly (Row | null)[]> {
    const padded = [...ids];
    // Few sizes, so that few statements are prepared.
    while (!isPowerOfTwo(padded.length)) padded.push(ids[0] ?? '');
    const rows = await this.#database.query(this.#statements.selectItems(padded.length), padded);
    const byId = new Map(rows.map((row) => [String(row[this.#idAt]), row]));
    return ids.map((id) => byId.get(id) ?? null);
  }
}

/** A power of two. */
const mostTogether = 16;

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}
