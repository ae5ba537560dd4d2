import type { Cache } from '../cache/cache.ts';
import { CatalogueError } from '../errors.ts';
import { isIdentifierValue } from '../resources/identifier.ts';
import type { Resource } from '../resources/resource.ts';
import type { PublishEvent } from '../resources/writer.ts';

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
  readonly #publish: PublishEvent;
  readonly #tellsChanges: () => boolean;

  /** `tellsChanges`: whether the events of resources come from here; with a change feed they come from that alone. */
  constructor(cache: Cache, resources: readonly Resource[], publish: PublishEvent, tellsChanges: () => boolean) {
    this.#tellsChanges = tellsChanges;
    this.#cache = cache;
    this.#resources = resources;
    this.#publish = publish;
  }

  /**
   * Emits `event` to every client. Where it says that a row has changed, the sender has just written it past this
   * service: what is cached of it goes first, because the frontend reads again the moment it hears the event.
   */
  async broadcast(event: string, data: unknown): Promise<void> {
    if (reserved.has(event)) throw new CatalogueError('RESERVED_EVENT', { params: { event } });
    const names = this.#resources.flatMap((resource) => namesTold(resource, event, data));
    if (names.length > 0) await this.#cache.invalidate(names);
    if (names.length === 0 || this.#tellsChanges()) this.#publish(event, data);
  }
}

function namesTold(resource: Resource, event: string, data: unknown): readonly string[] {
  if (!Object.values(resource.events).includes(event)) return [];
  const id: unknown = Object(data).id;
  return isIdentifierValue(id) ? resource.keysAffectedBy(String(id)) : [];
}
