import type { Dialect, Queryable, SqlValue } from '../database/database.ts';
import { CatalogueError } from '../errors.ts';
import type { Fields, Resource } from './resource.ts';

/**
 * Who may write which rows of a resource. `user` is the id that a token names, in digits; `undefined` where writes are open,
 * and then nothing is asked.
 *
 * The owner is that of the row as the transaction has locked it, and the role is read in the same transaction: nobody can
 * give the row away between the look and the change. Where nobody owns the rows, every user may change them.
 */
export class Ownership {
  readonly #resource: Resource;
  readonly #selectRole: string | undefined;

  constructor(resource: Resource, dialect: Dialect) {
    const { owners } = resource;
    this.#resource = resource;
    this.#selectRole =
      owners === undefined ? undefined : `SELECT ${owners.role} FROM ${owners.table} WHERE id = ${dialect.integer}`;
  }

  /** The fields of a new row: it is the user's, whatever was given. */
  assign(fields: Fields, user: string | undefined): Fields {
    const { owner } = this.#resource;
    return user === undefined || owner === undefined ? fields : { ...fields, [owner]: user };
  }

  /** Throws `USER_UNKNOWN` when there is no such user. */
  async requireUser(transaction: Queryable, user: string | undefined): Promise<void> {
    if (user !== undefined) await this.#roleOf(transaction, user);
  }

  /** Throws `NOT_OWNER`, unless the row is the user's or the user is an administrator; `USER_UNKNOWN` as above. */
  async requireOwner(
    transaction: Queryable,
    row: Readonly<Record<string, SqlValue>>,
    user: string | undefined,
    action: 'change' | 'delete',
  ): Promise<void> {
    const { owner, owners } = this.#resource;
    if (user === undefined || owner === undefined || String(row[owner]) === user) return;
    const role = await this.#roleOf(transaction, user);
    if (owners === undefined || role !== owners.administrator) throw this.#notOwner(action);
  }

  /** Throws `NOT_OWNER` when a client without a token says that somebody else is the owner. */
  requireClaim(row: Readonly<Record<string, SqlValue>>, claimed: string | undefined): void {
    const { owner } = this.#resource;
    if (claimed !== undefined && owner !== undefined && String(row[owner]) !== claimed) throw this.#notOwner('delete');
  }

  async #roleOf(transaction: Queryable, user: string): Promise<SqlValue | undefined> {
    if (this.#selectRole === undefined) return undefined;
    const [found] = await transaction.query(this.#selectRole, [user]);
    if (found === undefined) throw new CatalogueError('USER_UNKNOWN');
    return found[0];
  }

  #notOwner(action: string): CatalogueError {
    return new CatalogueError('NOT_OWNER', { params: { item: this.#resource.item, action } });
  }
}
