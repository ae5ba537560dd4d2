import type { Cache } from '../cache/cache.ts';
import { OutcomeUnknown, WriteRefused } from '../cache/write-fence.ts';
import { barrierOpening, holdBarrier, storeInUse } from '../database/barrier.ts';
import { ConstraintViolation, type Database, type Queryable, type SqlValue } from '../database/database.ts';
import { recordNames } from '../database/outbox.ts';
import { CatalogueError } from '../errors.ts';
import type { ReservedVersion } from '../realtime/event-log.ts';
import { IdempotencyKeys } from './idempotency.ts';
import { entityTag } from './meta.ts';
import { Ownership } from './ownership.ts';
import { type Fields, type Resource, writableColumns } from './resource.ts';
import { type ChangeSink, rowEvent } from './row-events.ts';
import { buildStatements, type Statements } from './statements.ts';

/**
 * Writes of one resource: one transaction each, fenced as `cache/write-fence.ts` says. A write that changed no row
 * touches no key and makes no event.
 *
 * `user` is the id of the user that a token names; without one, writes are open. Whether the user may is decided inside the
 * transaction, on the row that it has locked: `ownership.ts`.
 */
export class ResourceWriter {
  readonly #resource: Resource;
  readonly #cache: Cache;
  readonly #database: Database;
  readonly #statements: Statements;
  readonly #idempotency: IdempotencyKeys;
  readonly #ownership: Ownership;
  readonly #changes: ChangeSink;
  readonly #opening: string;

  /** `changes` is told after a change has become visible to every reader, and before it is acknowledged. */
  constructor(resource: Resource, cache: Cache, database: Database, changes: ChangeSink) {
    this.#resource = resource;
    this.#cache = cache;
    this.#database = database;
    this.#statements = buildStatements(resource, database.dialect);
    this.#idempotency = new IdempotencyKeys(resource.name);
    this.#ownership = new Ownership(resource, database.dialect);
    this.#changes = changes;
    this.#opening = barrierOpening(database.dialect);
  }

  /**
   * `given` holds every writable column, with a `user` all but the owner. Throws `UNKNOWN_REFERENCE`,
   * `IDEMPOTENCY_KEY_REUSED`, `USER_UNKNOWN`.
   */
  async create(given: Fields, idempotencyKey?: string, user?: string): Promise<Created> {
    const fields = this.#ownership.assign(given, user);
    const { changed, result, version } = await this.#write<Created>(async (transaction) => {
      if (idempotencyKey !== undefined) {
        const answer = await this.#idempotency.claim(transaction, idempotencyKey, fields, new Date());
        if (answer !== null) return { changed: null, result: { json: answer, id: idOf(answer), replayed: true } };
      }
      await this.#ownership.requireUser(transaction, user);
      const { id, json } = await this.#insert(transaction, fields);
      if (idempotencyKey !== undefined) await this.#idempotency.record(transaction, idempotencyKey, json);
      return { changed: id, result: { json, id, replayed: false } };
    });
    if (changed !== null) await this.#tell('created', changed, result.json, version);
    return result;
  }

  /**
   * Sets the given columns. Throws `NOT_FOUND`, `NOT_OWNER`, `USER_UNKNOWN`, `PRECONDITION_FAILED`. Resolves with the JSON of
   * the row.
   */
  async update(id: string, fields: Fields, precondition: Precondition, user?: string): Promise<string> {
    const { changed, result, version } = await this.#write<string>(async (transaction) => {
      const { current, before } = await this.#lock(transaction, id);
      await this.#ownership.requireOwner(transaction, current, user, 'change');
      this.#require(precondition, before);
      const given = Object.keys(fields).filter((name) => fields[name] !== current[name]);
      if (given.length === 0) return { changed: null, result: before };
      await transaction.execute(this.#statements.update(given), [...given.map((name) => fields[name] ?? null), id]);
      return { changed: id, result: await this.#select(transaction, id) };
    });
    if (changed !== null) await this.#tell('updated', id, result, version);
    return result;
  }

  /**
   * Throws `NOT_FOUND`, `USER_UNKNOWN`, `PRECONDITION_FAILED`; `NOT_OWNER` when the row is not the `user`'s, or, without one,
   * not that of the `claimed` owner.
   */
  async remove(id: string, claimed: string | undefined, precondition: Precondition, user?: string): Promise<void> {
    const { version } = await this.#write(async (transaction) => {
      const { current, before } = await this.#lock(transaction, id);
      await this.#ownership.requireOwner(transaction, current, user, 'delete');
      this.#require(precondition, before);
      if (user === undefined) this.#ownership.requireClaim(current, claimed);
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
      const written = await this.#cache.write((beforeCommit, committedAt) =>
        this.#database.transaction(
          async (transaction, opened) => {
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
          },
          { opening: this.#opening, committedAt },
        ),
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

  /** Locks and reads the row in one: neither its owner nor what is compared with `If-Match` can change before COMMIT. */
  async #lock(
    transaction: Queryable,
    id: string,
  ): Promise<{ current: Readonly<Record<string, SqlValue>>; before: string }> {
    const [row] = await transaction.query(this.#statements.selectForUpdate, [id]);
    if (row === undefined) throw new CatalogueError('NOT_FOUND', { params: { item: this.#resource.label } });
    const names = Object.keys(this.#resource.columns);
    const current = Object.fromEntries(names.map((name, index) => [name, row[index] ?? null]));
    return { current, before: this.#resource.toJson(row) };
  }

  #require(precondition: Precondition, json: string): void {
    if (precondition(entityTag(json))) return;
    throw new CatalogueError('PRECONDITION_FAILED', { params: { item: this.#resource.item } });
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
