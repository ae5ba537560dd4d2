import type { LiveEvent, ReservedVersion } from '../realtime/event-log.ts';
import { deletedJson } from './changes.ts';
import type { Resource } from './resource.ts';

/** Where changes are told to the browsers. */
export interface ChangeSink {
  /** See `EventLog.reserve`; `undefined` when the log cannot be reached. */
  reserve(): Promise<ReservedVersion | undefined>;
  /** Resolves once the event is in the log, or was tried once to no avail. Never rejects. */
  publish(event: LiveEvent): Promise<void>;
}

/** The live event that says what happened to a row. `json` is the row as it is now; none when it was deleted. */
export function rowEvent(
  resource: Resource,
  what: keyof Resource['events'],
  id: string,
  json?: string,
  version?: ReservedVersion,
): LiveEvent {
  return {
    event: resource.events[what],
    data: json ?? deletedJson(id),
    rooms: roomsOfRow(resource, id),
    version,
  };
}

/** The room of the list, and that of the row. */
export function roomsOfRow(resource: Resource, id: string): readonly string[] {
  return [resource.name, resource.itemKey(id)];
}
