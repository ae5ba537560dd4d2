import type { Cache } from '../cache/cache.ts';
import type { Composition } from '../cache/composition.ts';
import type { FastReader } from '../cache/held-reads.ts';
import { absentValue } from '../cache/negative.ts';
import type { Answer } from '../cache/answer.ts';
import type { Load, Loaded } from '../cache/read-through.ts';
import type { Since } from '../cache/store.ts';
import type { Database, Row } from '../database/database.ts';
import { cursorAfter, decodeCursor, encodeCursor, pageStart } from './cursor.ts';
import { ListSource } from './list-source.ts';
import { entityTag, writeMeta } from './meta.ts';
import { ItemRows } from './item-rows.ts';
import type { Resource } from './resource.ts';
import { buildStatements, type Statements } from './statements.ts';

/**
 * Reads of one resource, through the cache. What is cached is the JSON of `data`, byte for byte as it is sent; beside it
 * stands its entity tag and, for a page, the cursor of the next one.
 */
export class ResourceReader {
  readonly #resource: Resource;
  readonly #cache: Cache;
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #list: ListSource;
  readonly #loadList: Load = (since) => this.#list.loadWhole(since);
  readonly #composition: Composition | undefined;
  readonly #items: ItemRows;

  constructor(resource: Resource, cache: Cache, database: Database, lists: 'segments' | 'whole' = 'segments') {
    this.#resource = resource;
    this.#cache = cache;
    this.#database = database;
    this.#statements = buildStatements(resource, database.dialect);
    this.#list = new ListSource(resource, database);
    this.#composition = lists === 'segments' ? cache.composition(this.#list) : undefined;
    this.#items = new ItemRows(resource, this.#statements, database);
  }

  /** One row. Its bytes are `null` in JSON when there is none: see `cache/negative.ts`. */
  readItem(id: string): Promise<Answer> {
    return this.#cache.read(this.#resource.itemKey(id), this.#itemLoad(id));
  }

  /** The short way to a row that this process holds: see `ReadThrough.readFast`. */
  readFastItem(id: string, reader: FastReader): boolean {
    return this.#cache.readFast(this.#resource.itemKey(id), this.#itemLoad(id), reader);
  }

  /** The same for the list. */
  readFastList(reader: FastReader): boolean {
    return this.#cache.readFast(this.#resource.listKey, this.#loadList, reader, this.#listComposition);
  }

  /** The same for a page; a cursor that is none is the cursor of no page that anyone holds. */
  readFastPage(limit: number, after: string | undefined, reader: FastReader): boolean {
    const key = this.#resource.pageKey(limit, after);
    return this.#cache.readFast(key, this.#pageLoad(limit, after), reader);
  }

  /** All rows, newest first. */
  readAll(): Promise<Answer> {
    return this.#cache.read(this.#resource.listKey, this.#loadList, this.#listComposition);
  }

  /** A list that is known to be short is not put together. */
  get #listComposition(): Composition | undefined {
    return this.#list.isWhole ? undefined : this.#composition;
  }

  /** Up to `limit` rows behind the cursor. Throws `CatalogueError` `INVALID_PARAMETER` for a cursor that is none. */
  async readPage(limit: number, after: string | undefined): Promise<Answer> {
    if (after !== undefined) decodeCursor(after);
    return await this.#cache.read(this.#resource.pageKey(limit, after), this.#pageLoad(limit, after));
  }

  #itemLoad(id: string): Load {
    return (since) => this.#loadItem(id, since);
  }

  #pageLoad(limit: number, after: string | undefined): Load {
    return (since) => this.#loadPage(limit, after, since);
  }

  async #loadPage(limit: number, after: string | undefined, since: Since | undefined): Promise<Loaded> {
    const { start, params } = pageStart(after === undefined ? undefined : decodeCursor(after));
    const sql = this.#statements.selectPage(limit + 1, start);
    const { rows, position } = await this.#database.load(sql, params, since);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    // One row more than asked for tells whether there is a next page.
    const more = last !== undefined && rows.length > limit;
    const next = more ? encodeCursor(cursorAfter(last, Object.keys(this.#resource.columns))) : undefined;
    return { ...this.#toLoaded(this.#toJsonArray(page), this.#resource.ttl.list, next), position };
  }

  async #loadItem(id: string, since: Since | undefined): Promise<Loaded> {
    const { row, position } = await this.#items.load(id, since);
    if (row === null) return { value: absentValue, meta: '', ttlMs: this.#resource.ttl.absent, position };
    return { ...this.#toLoaded(this.#resource.toJson(row), this.#resource.ttl.item), position };
  }

  #toJsonArray(rows: readonly Row[]): string {
    return `[${rows.map((row) => this.#resource.toJson(row)).join(',')}]`;
  }

  #toLoaded(json: string, ttlMs: number, next?: string): Loaded {
    const value = Buffer.from(json);
    return { value, meta: writeMeta({ etag: entityTag(value), next }), ttlMs };
  }
}
