import type { Cache } from '../cache/cache.ts';
import { OutcomeUnknown, WriteRefused } from '../cache/write-fence.ts';
import { barrierOpening, holdBarrier, storeInUse } from '../database/barrier.ts';
import { ConstraintViolation, type Database, type Queryable, type SqlValue } from '../database/database.ts';
import { recordNames } from '../database/outbox.ts';
import { CatalogueError } from '../errors.ts';
import type { ReservedVersion } from '../realtime/event-log.ts';
import { IdempotencyKeys } from './idempotency.ts';
import { entityTag } from './meta.ts';
import { type Fields, type Resource, writableColumns } from './resource.ts';
import { type ChangeSink, rowEvent } from './row-events.ts';
import { buildStatements, type Statements } from './statements.ts';

/**
 * Writes of one resource: one transaction each, fenced as `cache/write-fence.ts` says. A write that changed no row
 * touches no key and makes no event.
 */
export class ResourceWriter {
  readonly #resource: Resource;
  readonly #cache: Cache;
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #idempotency: IdempotencyKeys;
  readonly #changes: ChangeSink;
  readonly #opening: string;

  /** `changes` is told after a change has become visible to every reader, and before it is acknowledged. */
  constructor(resource: Resource, cache: Cache, database: Database, changes: ChangeSink) {
    this.#resource = resource;
    this.#cache = cache;
    this.#database = database;
    this.#statements = buildStatements(resource, database.dialect);
    this.#idempotency = new IdempotencyKeys(resource.name);
    this.#changes = changes;
    this.#opening = barrierOpening(database.dialect);
  }

  /** `fields` holds every writable column. Throws `UNKNOWN_REFERENCE`, `IDEMPOTENCY_KEY_REUSED`. */
  async create(fields: Fields, idempotencyKey?: string): Promise<Created> {
    const { changed, result, version } = await this.#write<Created>(async (transaction) => {
      if (idempotencyKey !== undefined) {
        const answer = await this.#idempotency.claim(transaction, idempotencyKey, fields, new Date());
        if (answer !== null) return { changed: null, result: { json: answer, id: idOf(answer), replayed: true } };
      }
      const { id, json } = await this.#insert(transaction, fields);
      if (idempotencyKey !== undefined) await this.#idempotency.record(transaction, idempotencyKey, json);
      return { changed: id, result: { json, id, replayed: false } };
    });
    if (changed !== null) await this.#tell('created', changed, result.json, version);
    return result;
  }

  /** Sets the given columns. Throws `NOT_FOUND`, `PRECONDITION_FAILED`. Resolves with the JSON of the row. */
  async update(id: string, fields: Fields, precondition: Precondition): Promise<string> {
    const { changed, result, version } = await this.#write<string>(async (transaction) => {
      const { current, before } = await this.#lock(transaction, id, precondition);
      const given = Object.keys(fields).filter((name) => fields[name] !== current[name]);
      if (given.length === 0) return { changed: null, result: before };
      await transaction.execute(this.#statements.update(given), [...given.map((name) => fields[name] ?? null), id]);
      return { changed: id, result: await this.#select(transaction, id) };
    });
    if (changed !== null) await this.#tell('updated', id, result, version);
    return result;
  }

  /** Throws `NOT_FOUND`, `PRECONDITION_FAILED`, `NOT_OWNER` when `owner` is given and is another. */
  async remove(id: string, owner: string | undefined, precondition: Precondition): Promise<void> {
    const { version } = await this.#write(async (transaction) => {
      const { current } = await this.#lock(transaction, id, precondition);
      const column = this.#resource.owner;
      if (owner !== undefined && column !== undefined && String(current[column]) !== owner) {
        throw new CatalogueError('NOT_OWNER', { params: { item: this.#resource.item } });
      }
      await transaction.execute(this.#statements.remove, [id]);
      return { changed: id, result: undefined };
    });
    await this.#tell('deleted', id, undefined, version);
  }

  async #tell(
    what: keyof Resource['events'],
    id: string,
    json: string | undefined,
    version: ReservedVersion | undefined,
  ): Promise<void> {
    await this.#changes.publish(rowEvent(this.#resource, what, id, json, version));
  }

  /** The fenced transaction around `work`, which says the id of the row it changed. */
  async #write<T>(
    work: (transaction: Queryable) => Promise<Done<T>>,
  ): Promise<Done<T> & { readonly version: ReservedVersion | undefined }> {
    let version: ReservedVersion | undefined;
    try {
      const written = await this.#cache.write((beforeCommit) =>
        this.#database.transaction(async (transaction, opened) => {
          const claim = await holdBarrier(transaction, this.#database.dialect, opened);
          const done = await work(transaction);
          if (done.changed !== null) {
            const names = this.#resource.keysAffectedBy(done.changed);
            [version] = await Promise.all([
              this.#changes.reserve(),
              beforeCommit(names, (missed) => recordNames(transaction, missed), storeInUse(claim)),
            ]);
          }
          return done;
        }, this.#opening),
      );
      return { ...written, version };
    } catch (error) {
      if (error instanceof OutcomeUnknown) throw new CatalogueError('COMMIT_UNKNOWN', { cause: error });
      if (error instanceof WriteRefused) throw new CatalogueError('CACHE_UNREACHABLE', { cause: error });
      throw error;
    }
  }

  async #insert(transaction: Queryable, fields: Fields): Promise<{ id: string; json: string }> {
    const values = writableColumns(this.#resource.columns, 'create').map((name) => fields[name] ?? null);
    try {
      const { insertId: id } = await transaction.execute(this.#statements.insert, values);
      return { id, json: await this.#select(transaction, id) };
    } catch (error) {
      if (!(error instanceof ConstraintViolation) || error.kind !== 'foreign-key') throw error;
      const { columns } = this.#resource;
      const field = Object.keys(columns).find((name) => columns[name]?.isReference) ?? 'reference';
      throw new CatalogueError('UNKNOWN_REFERENCE', {
        params: { field },
        fields: [{ field, message: `${field} refers to no row` }],
        cause: error,
      });
    }
  }

  /** Locks and reads the row in one: what is compared with `If-Match` cannot change before COMMIT. */
  async #lock(
    transaction: Queryable,
    id: string,
    precondition: Precondition,
  ): Promise<{ current: Record<string, SqlValue>; before: string }> {
    const [row] = await transaction.query(this.#statements.selectForUpdate, [id]);
    if (row === undefined) throw new CatalogueError('NOT_FOUND', { params: { item: this.#resource.label } });
    const names = Object.keys(this.#resource.columns);
    const before = this.#resource.toJson(row);
    if (!precondition(entityTag(before))) {
      throw new CatalogueError('PRECONDITION_FAILED', { params: { item: this.#resource.item } });
    }
    return { current: Object.fromEntries(names.map((name, index) => [name, row[index] ?? null])), before };
  }

  async #select(transaction: Queryable, id: string): Promise<string> {
    const [row] = await transaction.query(this.#statements.selectItem, [id]);
    if (row === undefined) throw new Error(`${this.#resource.item} ${id} is gone inside its own transaction`);
    return this.#resource.toJson(row);
  }
}

/** Whether a row with this entity tag may be changed (`If-Match`). */
export type Precondition = (etag: string) => boolean;

export interface Created {
  /** The JSON of the row. */
  readonly json: string;
  readonly id: string;
  /** The row was made by an earlier request with the same idempotency key. */
  readonly replayed: boolean;
}

/** `changed` is the id of the row that was changed, `null` when none was. */
interface Done<T> {
  readonly changed: string | null;
  readonly result: T;
}

/** The digits as they stand in the JSON: parsed, they could lose the last ones. */
function idOf(json: string): string {
  return /"id":(\d+)/.exec(json)?.[1] ?? '';
}
