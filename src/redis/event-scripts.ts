import type { LiveEvent, LoggedEvent, Position, ReservedVersion } from '../realtime/event-log.ts';
import type { Reply } from './link.ts';
import { asArray, asText } from './replies.ts';
import { type Argument, evaluate, loadScript, type Script } from './script.ts';
import type { TrustedCall } from './server.ts';

/**
 * Typed calls of the steps in `lua/` on the event log: the only place that knows their arguments and replies. What each
 * does stands in the header of its file.
 */

const appendScript = loadScript('events-prelude', 'events-append');
const readScript = loadScript('events-prelude', 'events-read');
const reserveScript = loadScript('events-prelude', 'events-reserve');
const renewScript = loadScript('events-prelude', 'events-renew');

/** One step on the server that has the log. */
export interface EventCall {
  readonly call: TrustedCall;
  readonly stream: string;
  readonly state: string;
  /** Never used before: the epoch that begins where there is none. */
  readonly epoch: string;
  readonly channel: string;
}

export interface Bounds {
  readonly mostEntries: number;
  readonly mostBytes: number;
  readonly longestMs: number;
}

export async function appendEvents(
  call: EventCall,
  events: readonly LiveEvent[],
  source: string,
  { mostEntries, mostBytes, longestMs }: Bounds,
): Promise<void> {
  await run(call, appendScript, [
    mostEntries,
    mostBytes,
    longestMs,
    source,
    ...events.flatMap(({ event, data, version, rooms, mark }) => [
      event,
      data,
      version === undefined ? '' : version.version,
      version?.epoch ?? '',
      rooms.join(' '),
      mark ?? '',
    ]),
  ]);
}

/** Where the log ends, and what follows `position`: `null` when the log does not hold all of it. */
export async function readEvents(
  call: EventCall,
  position: Position | undefined,
  limit: number,
): Promise<{ readonly tail: Position; readonly events: readonly LoggedEvent[] | null }> {
  const reply = await run(call, readScript, [position?.epoch ?? '', position?.offset ?? 0, limit]);
  const [epochReply, tailReply, entries] = asArray(reply);
  const epoch = asText(epochReply);
  const events = entries === undefined ? [null] : asArray(entries).map((entry) => toEvent(epoch, entry));
  return {
    tail: { epoch, offset: Number(asText(tailReply)) },
    events: events.every((event) => event !== null) ? events : null,
  };
}

export async function reserveVersion(call: EventCall): Promise<ReservedVersion> {
  const [epoch, version] = asArray(await run(call, reserveScript, []));
  return { epoch: asText(epoch), version: Number(asText(version)) };
}

export async function renewEpoch(call: EventCall): Promise<void> {
  await run(call, renewScript, []);
}

async function run(
  { call: { link, deadlineMs, trusted }, stream, state, epoch, channel }: EventCall,
  script: Script,
  args: readonly Argument[],
): Promise<Reply | undefined> {
  const all = [trusted, epoch, channel, ...args];
  const [reply] = await evaluate(link, deadlineMs, script, [{ keys: [stream, state], args: all }]);
  return reply;
}

/** The fields in the order in which they were added; `null` when somebody else has added it. */
function toEvent(epoch: string, entry: Reply): LoggedEvent | null {
  const [id, fields] = asArray(entry);
  const [nameOfEvent, event, , data, , version, , rooms] = asArray(fields);
  if (asText(nameOfEvent) !== 'e' || asArray(fields).length !== 10) return null;
  return {
    epoch,
    offset: Number.parseInt(asText(id), 10),
    event: asText(event),
    data: asText(data),
    version: Number(asText(version)),
    rooms: asText(rooms)
      .split(' ')
      .filter((room) => room !== ''),
  };
}
