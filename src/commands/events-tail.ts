import { setTimeout } from 'node:timers/promises';
import { describeError } from '../errors.ts';
import { stateBeside, streamKey } from '../redis/event-log.ts';
import type { Reply } from '../redis/link.ts';
import type { Sight } from '../redis/lookout.ts';
import type { Place } from '../redis/place.ts';
import { asArray, asText } from '../redis/replies.ts';
import { type OnServers, onServers, openLookout } from './on-servers.ts';
import type { Output } from './output.ts';
import { stopOnSignal } from './stop-signal.ts';
import { failure, type Given, numberOf, textOf, type Verb } from './verb.ts';

export const eventsTail: Verb = {
  name: 'events tail',
  summary: 'print live events as they are appended to the log, until SIGINT',
  details: [
    'It reads the log in Redis and changes nothing; live clients of all instances are sent the same. A new epoch is told too: clients then read anew. With `--json` each event is a line.',
  ],
  flags: [
    { name: 'last', value: 'N', description: 'so many of those that are there already', standard: '10' },
    { name: 'event', value: 'NAME', description: 'only events of this name' },
    { name: 'count', value: 'N', description: 'end after so many events' },
  ],
  run: async (given) => {
    const servers = onServers(given);
    if (servers === undefined) {
      throw failure(
        'the embedded default keeps its events in the process that serves: its dashboard shows them (/dashboard), and so does Socket.IO (docs/events.md)',
      );
    }
    const stop = stopOnSignal();
    try {
      await follow(servers, wishesOf(given), given.output, stop.isStopped);
    } finally {
      stop.forget();
    }
    return 'done';
  },
};

interface Wishes {
  readonly last: number;
  readonly event: string | undefined;
  readonly count: number;
}

function wishesOf(given: Given): Wishes {
  return {
    last: numberOf(given, 'last', { standard: 10, least: 0, most: 100_000 }),
    event: textOf(given, 'event'),
    count: numberOf(given, 'count', { least: 1, most: 1_000_000_000 }) ?? Number.POSITIVE_INFINITY,
  };
}

interface Logged {
  readonly offset: number;
  readonly event: string;
  readonly version: number;
  readonly rooms: readonly string[];
  /** When it was appended, by the clock of Redis. */
  readonly at: string;
  readonly data: string;
}

/** The first failure ends it; a Redis that goes away later is waited for. */
async function follow(servers: OnServers, wishes: Wishes, output: Output, isStopped: () => boolean): Promise<void> {
  const tail = new Tail(wishes, output);
  let isNew = true;
  while (!isStopped() && !tail.isDone) {
    const lookout = openLookout(servers);
    try {
      const sight = await lookout.seeKey(streamKey);
      const place = lookout.placeOf(streamKey);
      isNew = false;
      while (!isStopped() && !tail.isDone) {
        if (!(await tail.look(sight, place))) await setTimeout(lookMs);
      }
    } catch (error) {
      if (isNew) throw failure(`Redis cannot be asked: ${describeError(error)}`, error);
      output.note(`Redis is away: ${describeError(error)}; looking again`);
      await setTimeout(awayMs);
    } finally {
      lookout.close();
    }
  }
}

const lookMs = 200;
const awayMs = 1_000;
const readAtOnce = 500;

/** What has been printed, and how the log goes on behind it. */
class Tail {
  readonly #wishes: Wishes;
  readonly #output: Output;
  #epoch: string | undefined;
  #offset = 0;
  #printed = 0;

  constructor(wishes: Wishes, output: Output) {
    this.#wishes = wishes;
    this.#output = output;
  }

  get isDone(): boolean {
    return this.#printed >= this.#wishes.count;
  }

  /** Prints what is new; whether there may be more. */
  async look(sight: Sight, place: Place): Promise<boolean> {
    const reply = await sight.ask(['HGET', stateBeside(place), 'epoch']);
    const epoch = reply === null ? '' : asText(reply);
    if (epoch !== this.#epoch) return await this.#begin(sight, place, epoch);
    const entries = asArray(await sight.ask(['XRANGE', place.value, `(${this.#offset}-0`, '+', 'COUNT', readAtOnce]));
    this.#print(entries.map(toLogged));
    return entries.length === readAtOnce;
  }

  /** Of the first epoch that is seen only the last events are printed, of later ones all. */
  async #begin(sight: Sight, { value: stream }: Place, epoch: string): Promise<boolean> {
    const isFirst = this.#epoch === undefined;
    this.#epoch = epoch;
    this.#offset = 0;
    if (!isFirst) {
      this.#output.show({ type: 'epoch', epoch }, ['--- a new epoch: live clients read anew']);
      return true;
    }
    const { last } = this.#wishes;
    const newest = asArray(await sight.ask(['XREVRANGE', stream, '+', '-', 'COUNT', Math.max(1, last)]));
    const events = newest.map(toLogged).toReversed();
    this.#offset = events.at(-1)?.offset ?? 0;
    this.#print(last === 0 ? [] : events);
    return true;
  }

  #print(events: readonly Logged[]): void {
    for (const each of events) {
      this.#offset = each.offset;
      const { event } = this.#wishes;
      if (this.isDone || (event !== undefined && each.event !== event)) continue;
      this.#printed += 1;
      const { data, ...rest } = each;
      const parsed: unknown = JSON.parse(data);
      const document = { type: 'event', epoch: this.#epoch, ...rest, data: parsed };
      this.#output.show(document, [this.#lineOf(each)]);
    }
  }

  #lineOf({ at, event, offset, version, rooms, data }: Logged): string {
    const line = `${at}  ${event}  offset ${offset}, version ${version}  ${rooms.join(' ')}  ${data}`;
    const { isTerminal, size } = this.#output;
    return isTerminal && line.length > size.columns ? `${line.slice(0, size.columns - 1)}…` : line;
  }
}

/** The fields of an entry: see `lua/events-prelude.lua`. */
function toLogged(entry: Reply): Logged {
  const [id, reply] = asArray(entry);
  const texts = asArray(reply).map(asText);
  const field = (name: string): string => texts[texts.findIndex((text, at) => at % 2 === 0 && text === name) + 1] ?? '';
  return {
    offset: Number.parseInt(asText(id), 10),
    event: field('e'),
    version: Number(field('v')),
    rooms: field('r')
      .split(' ')
      .filter((room) => room !== ''),
    at: new Date(Number(field('t'))).toISOString(),
    data: field('d'),
  };
}
