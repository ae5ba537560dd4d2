import { fenceTable, type Place, placesWith } from './place.ts';
import { TrustedServer } from './server.ts';
import type { TrustedServerOptions } from './server-options.ts';
import type { Key } from '../cache/key.ts';

/** The servers that the keys are on: one, or those of a cluster. */
export interface Servers {
  connect(): void;
  close(): void;
  /** Why not all keys can be used; `undefined` when they can. */
  readonly downReason: string | undefined;
  /** Rejects when a server does not answer. */
  ping(): Promise<void>;
  /** The run that is claimed, where there is one server. */
  readonly run: string | undefined;
  /** What all keys and channels begin with; `''` for nothing. */
  readonly prefix: string;
  placeOf(key: Key): Place;
  /** The server that has all places, where there is but one. */
  readonly only: Steps | undefined;
  /** Runs a step on the server that has the place; maybe more than once, so it must be one that can be repeated. */
  at<T>(place: Place, step: (server: Steps) => Promise<T>): Promise<T>;
  /** Runs a deletion on each server that has some of the places; repeatable too. Rejects unless all were reached. */
  atAll(places: readonly Place[], step: (server: Steps, places: readonly Place[]) => Promise<void>): Promise<void>;
  /** Runs a step on each server that has keys. Rejects unless all were reached, or when keys moved meanwhile. */
  onEach(step: (server: Steps) => Promise<void>): Promise<void>;
}

/** What may be done on a server. */
export type Steps = Pick<TrustedServer, 'withCommands' | 'withValues' | 'withDeletion' | 'settle'>;

/** One server, or the one that Sentinels say is the master. */
export class OneServer implements Servers {
  readonly #server: TrustedServer;
  readonly prefix: string;
  readonly placeOf: (key: Key) => Place;

  constructor({ prefix = '', ...options }: Omit<TrustedServerOptions, 'settleFirst'> & { readonly prefix?: string }) {
    this.prefix = prefix;
    this.placeOf = placesWith(prefix, () => fenceTable);
    this.#server = new TrustedServer({ ...options, settleFirst: [`${prefix}${fenceTable}`] });
  }

  connect(): void {
    this.#server.connect();
  }

  close(): void {
    this.#server.close();
  }

  get downReason(): string | undefined {
    return this.#server.downReason;
  }

  ping(): Promise<void> {
    return this.#server.ping();
  }

  get run(): string | undefined {
    return this.#server.run;
  }

  get only(): Steps {
    return this.#server;
  }

  at<T>(_place: Place, step: (server: Steps) => Promise<T>): Promise<T> {
    return step(this.#server);
  }

  atAll(places: readonly Place[], step: (server: Steps, places: readonly Place[]) => Promise<void>): Promise<void> {
    return step(this.#server, places);
  }

  onEach(step: (server: Steps) => Promise<void>): Promise<void> {
    return step(this.#server);
  }
}
