import type { Cache } from '../cache/cache.ts';
import { CatalogueError } from '../errors.ts';
import { isIdentifierValue } from '../resources/identifier.ts';
import type { Resource } from '../resources/resource.ts';
import { type ChangeSink, roomsOfRow } from '../resources/row-events.ts';
import type { LiveEvent } from './event-log.ts';
import { isOwnEvent } from './events.ts';

/** Names that Socket.IO gives a meaning of its own: https://socket.io/docs/v4/emit-cheatsheet/#reserved-events */
const reserved: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'error',
  'newListener',
  'removeListener',
]);

/** Live events that others ask for. */
export class Broadcaster {
  readonly #cache: Cache;
  readonly #resources: readonly Resource[];
  readonly #changes: ChangeSink;
  readonly #tellsChanges: () => boolean;

  /** `tellsChanges`: whether the events of resources come from here; with a change feed they come from that alone. */
  constructor(cache: Cache, resources: readonly Resource[], changes: ChangeSink, tellsChanges: () => boolean) {
    this.#tellsChanges = tellsChanges;
    this.#cache = cache;
    this.#resources = resources;
    this.#changes = changes;
  }

  /**
   * Emits `event` to every client. Where it says that a row has changed, the sender has just written it past this
   * service: what is cached of it goes first, because the frontend reads again the moment it hears the event.
   */
  async broadcast(event: string, data: unknown): Promise<void> {
    if (reserved.has(event) || isOwnEvent(event)) throw new CatalogueError('RESERVED_EVENT', { params: { event } });
    const rows = this.#resources.flatMap((resource) => rowsTold(resource, event, data));
    const names = rows.flatMap(({ resource, id }) => resource.keysAffectedBy(id));
    if (names.length > 0) await this.#cache.invalidate(names);
    const rooms = rows.flatMap(({ resource, id }) => roomsOfRow(resource, id));
    const told: LiveEvent = { event, data: JSON.stringify(data ?? null), rooms };
    if (rows.length === 0 || this.#tellsChanges()) await this.#changes.publish(told);
  }
}

function rowsTold(resource: Resource, event: string, data: unknown): { resource: Resource; id: string }[] {
  if (!Object.values(resource.events).includes(event)) return [];
  const id: unknown = Object(data).id;
  return isIdentifierValue(id) ? [{ resource, id: String(id) }] : [];
}
