import type { NewRows, ResourceName, RowChanges, Rows } from './generated.ts';
import type { Snapshot } from './view.ts';

/** Something to look at: the shape of React's `useSyncExternalStore`. */
export interface Observable<Value> {
  /** Calls `listener` after each change. Returns how to stop that. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The same object until something changes. */
  readonly getSnapshot: () => Value;
}

/** The live collections of a resource. They are read and kept current while somebody is subscribed. */
export interface Collections<Name extends ResourceName> {
  /** All rows, or the newest `limit` (1 to 100), newest first. The same object for the same question. */
  list(options?: { readonly limit?: number }): Observable<Snapshot<readonly Rows[Name][]>>;
  /** One row; its `data` is `null` when there is none. */
  item(id: number | string): Observable<Snapshot<Rows[Name] | null>>;
  /** Writes are sent once, and reject with `CacheProblem`. Collections follow by the events. */
  create(row: NewRows[Name], options?: { readonly idempotencyKey?: string }): Promise<Rows[Name]>;
  update(id: number | string, changes: RowChanges[Name]): Promise<Rows[Name]>;
  /** `owner`: as the service's `DELETE` takes it, `{ user_id: 1 }`; 403 when it is another one. */
  remove(id: number | string, owner?: object): Promise<void>;
}
