import type { Collections, Observable } from './collections.ts';
import { Connection, type ConnectionState, type LiveSocket, type Place, type Position } from './connection.ts';
import { mostRooms, type ResourceName, type ResourceSpec, resources, type Rows } from './generated.ts';
import { CacheProblem } from './problem.ts';
import { Replica } from './replica.ts';
import { Rest } from './rest.ts';
import { type AnyRow, idOf, isRow } from './rows.ts';
import type { Timing } from './timing.ts';
import { Versions } from './versions.ts';
import { type LiveView, type Scope, View } from './view.ts';

/** What is sent in the handshake. */
export interface Handshake extends Position {
  readonly rooms?: readonly string[];
}

export interface CoreOptions {
  /** Without a slash at the end. */
  readonly url: string;
  readonly fetch: typeof fetch;
  readonly openSocket: (auth: () => Handshake) => LiveSocket;
  readonly rooms: readonly string[] | undefined;
  readonly mostEntries: number;
  readonly mostBytes: number;
  readonly spreadMs: number;
  readonly timing: Timing;
}

/** Brings together what is read, what is heard and who looks at it. */
export class ClientCore {
  readonly #options: CoreOptions;
  readonly #rest: Rest;
  readonly #connection: Connection;
  /** Of each resource. */
  readonly #versions = new Map<string, Versions>();
  /** What somebody looks at, and the resource it is of. */
  readonly #active = new Map<LiveView, string>();
  readonly #stateListeners = new Set<() => void>();
  readonly #eventListeners = new Set<(event: string, data: unknown) => void>();
  #state: ConnectionState = { name: 'offline', reason: 'starting' };
  #isStarted = false;
  #isLive = false;

  constructor(options: CoreOptions) {
    checkRooms(options.rooms);
    this.#options = options;
    this.#rest = new Rest(options);
    const { rooms } = options;
    this.#connection = new Connection(
      (position) => options.openSocket(() => ({ ...position(), ...(rooms === undefined ? {} : { rooms }) })),
      {
        heard: (event, data, place) => this.#hear(event, data, place),
        missed: (isFirst) => this.#reload(isFirst),
        changed: () => this.#follow(),
      },
      options.timing,
    );
  }

  readonly state: Observable<ConnectionState> = {
    subscribe: (listener) => {
      this.#start();
      const own = (): void => listener();
      this.#stateListeners.add(own);
      return () => void this.#stateListeners.delete(own);
    },
    getSnapshot: () => this.#state,
  };

  onEvent(listener: (event: string, data: unknown) => void): () => void {
    this.#start();
    const own: typeof listener = (event, data) => listener(event, data);
    this.#eventListeners.add(own);
    return () => void this.#eventListeners.delete(own);
  }

  close(): void {
    this.#rest.close();
    this.#connection.close();
    for (const view of this.#looked) view.stop();
  }

  collections<Name extends ResourceName>(name: Name): Collections<Name> {
    type Row = Rows[Name];
    const { path, item, shape } = resources[name];
    const toRow = (data: unknown): Row => {
      if (isRow<Row>(shape, data)) return data;
      throw new CacheProblem(0, 'UNEXPECTED', `the service sent something else than a ${item}`);
    };
    const rowPath = (id: string): string => `${path}/${id}`;
    const lists = new Map<string, View<Row, readonly Row[]>>();
    const items = new Map<string, View<Row, Row | null>>();
    return {
      list: ({ limit } = {}) => {
        this.#checkRoom([name]);
        const replica = new Replica<Row>(limit ?? Infinity);
        const listPath = limit === undefined ? path : `${path}?limit=${checkLimit(limit)}`;
        return this.#view(name, lists, listPath, { rowPath, toRow, replica, show: (rows) => rows });
      },
      item: (given) => {
        const id = checkId(given);
        this.#checkRoom([name, `${item}:${id}`]);
        const replica = new Replica<Row>(Infinity);
        return this.#view(name, items, rowPath(id), { rowPath, toRow, replica, id, show: ([row]) => row ?? null });
      },
      create: async (row, { idempotencyKey } = {}) => {
        const headers = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
        return this.#written(name, toRow(dataOf(await this.#rest.write('POST', path, row, headers))));
      },
      update: async (id, changes) => {
        const body = await this.#rest.write('PUT', rowPath(checkId(id)), changes, {});
        return this.#written(name, toRow(dataOf(body)));
      },
      remove: async (id, owner = {}) => {
        await this.#rest.write('DELETE', rowPath(checkId(id)), owner, {});
        this.#written(name, { id });
      },
    };
  }

  /** Who hears nothing now reads what has become of the row. */
  #written<T extends { readonly id: number | string }>(name: ResourceName, row: T): T {
    if (this.#connection.status !== 'live') this.#each(name, (view) => view.touch(String(row.id)));
    return row;
  }

  #view<Row extends AnyRow, Data>(
    name: ResourceName,
    views: Map<string, View<Row, Data>>,
    path: string,
    scope: Omit<Scope<Row, Data>, 'path'>,
  ): View<Row, Data> {
    const known = views.get(path);
    if (known !== undefined) return known;
    const { timing } = this.#options;
    const view = new View(
      {
        timing,
        read: (each) => this.#rest.read(each),
        settledBefore: () => this.#connection.settledBefore,
        turned: (each, isActive) => this.#turn(name, each, isActive),
        changed: () => this.#follow(),
      },
      { ...scope, path },
    );
    views.set(path, view);
    this.#forgetIdle(views);
    return view;
  }

  /** Those that nobody looks at go when there are too many, the oldest first. */
  #forgetIdle(views: Map<string, LiveView>): void {
    for (const [path, view] of views) {
      if (views.size <= mostViews) return;
      if (!this.#active.has(view)) views.delete(path);
    }
  }

  #turn(name: ResourceName, view: LiveView, isActive: boolean): void {
    if (isActive) this.#active.set(view, name);
    else this.#active.delete(view);
    this.#start();
  }

  #start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#connection.start();
  }

  /** As it is now: who is told of something may stop looking, or begin. */
  get #looked(): LiveView[] {
    return [...this.#active.keys()];
  }

  #each(name: string, tell: (view: LiveView) => void): void {
    for (const view of this.#looked) if (this.#active.get(view) === name) tell(view);
  }

  #hear(event: string, data: unknown, place: Place | undefined): void {
    for (const [name, spec] of Object.entries<ResourceSpec<AnyRow>>(resources)) {
      const what = whatOf(spec, event);
      if (what !== undefined) this.#hearRow(name, spec, what, data, place);
    }
    for (const listener of this.#eventListeners) listener(event, data);
  }

  #hearRow(name: string, spec: ResourceSpec<AnyRow>, what: What, data: unknown, place: Place | undefined): void {
    const id = idOf(data);
    if (id === undefined) {
      this.#each(name, (view) => view.reload(this.#spread()));
      return;
    }
    const order = place === undefined ? 'unclear' : this.#versionsOf(name).hear(id, place.version);
    if (order === 'older') return;
    const row = what === 'deleted' ? null : isRow(spec.shape, data) ? data : undefined;
    this.#each(name, (view) => {
      if (order === 'unclear' || place === undefined || row === undefined) view.touch(id);
      else view.hear(id, row, place.version);
    });
  }

  #versionsOf(name: string): Versions {
    const known = this.#versions.get(name);
    if (known !== undefined) return known;
    const versions = new Versions(mostVersions);
    this.#versions.set(name, versions);
    return versions;
  }

  #reload(isFirst: boolean): void {
    for (const versions of this.#versions.values()) versions.clear();
    for (const view of this.#looked) {
      view.forgetVersions();
      view.reload(isFirst ? 0 : this.#spread());
    }
  }

  #spread(): number {
    return this.#options.spreadMs * this.#options.timing.random();
  }

  /** After any change: what is the state now, and whom must that be told? */
  #follow(): void {
    const isLive = this.#connection.status === 'live';
    const isBack = isLive && !this.#isLive;
    this.#isLive = isLive;
    if (isBack) for (const view of this.#looked) view.retry();
    const state = this.#currentState();
    if (JSON.stringify(state) === JSON.stringify(this.#state)) return;
    this.#state = state;
    for (const listener of this.#stateListeners) listener();
  }

  #currentState(): ConnectionState {
    const { status } = this.#connection;
    if (status !== 'live' && status !== 'joining') return { name: 'offline', reason: status };
    const isBehind = status === 'joining' || this.#looked.some((view) => view.isBehind);
    return { name: isBehind ? 'catching up' : 'live' };
  }

  /** An item whose events are not heard would be shown as if it were current. */
  #checkRoom(names: readonly string[]): void {
    const { rooms } = this.#options;
    if (rooms !== undefined && !names.some((name) => rooms.includes(name))) {
      throw new TypeError(`this client hears nothing of ${names.at(-1)}: name the room in its options`);
    }
  }
}

type What = keyof ResourceSpec<AnyRow>['events'];

function whatOf({ events }: ResourceSpec<AnyRow>, event: string): What | undefined {
  const kinds: readonly What[] = ['created', 'updated', 'deleted'];
  return kinds.find((what) => events[what] === event);
}

function dataOf(body: unknown): unknown {
  return Object(body).data;
}

function checkRooms(rooms: readonly string[] | undefined): void {
  if (rooms !== undefined && (rooms.length === 0 || rooms.length > mostRooms)) {
    throw new TypeError(`a client may be in 1 to ${mostRooms} rooms`);
  }
}

function checkLimit(limit: number): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= mostPerPage) return limit;
  throw new TypeError(`a limit is a whole number from 1 to ${mostPerPage}`);
}

function checkId(id: number | string): string {
  const digits = idOf({ id });
  if (digits === undefined) throw new TypeError(`an id is a positive whole number, which ${id} is not`);
  return digits;
}

const mostPerPage = 100;
const mostViews = 1_000;
const mostVersions = 10_000;
