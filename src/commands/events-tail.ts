import { setTimeout } from 'node:timers/promises';
import { describeError } from '../errors.ts';
import { stateBeside, streamKey } from '../redis/event-log.ts';
import type { Reply } from '../redis/link.ts';
import type { Sight } from '../redis/lookout.ts';
import type { Place } from '../redis/place.ts';
import { asArray, asText } from '../redis/replies.ts';
import { EventPrinter, type PrintedEvent, type PrintedEvents } from './event-printer.ts';
import { followInstance } from './events-tail-instance.ts';
import { insteadOfRedisFlag, internalUrlOf } from './instance-url.ts';
import { type OnServers, onServers, openLookout } from './on-servers.ts';
import type { Output } from './output.ts';
import { OperatorApi } from './running-instance.ts';
import { stopOnSignal } from './stop-signal.ts';
import { failure, type Given, numberOf, textOf, type Verb } from './verb.ts';

export const eventsTail: Verb = {
  name: 'events tail',
  summary: 'print live events as they are appended to the log, until SIGINT',
  details: [
    'It reads the log in Redis and changes nothing; live clients of all instances are sent the same. A new epoch is told too: clients then read anew. With `--json` each event is a line. An instance that is asked instead of Redis tells those that come from now on, without the time.',
  ],
  flags: [
    { name: 'last', value: 'N', description: 'so many of those that are there already', standard: '10' },
    { name: 'event', value: 'NAME', description: 'only events of this name' },
    { name: 'count', value: 'N', description: 'end after so many events' },
    insteadOfRedisFlag,
  ],
  run: async (given) => {
    const servers = onServers(given);
    const stop = stopOnSignal();
    try {
      const wishes = wishesOf(given);
      const printer = new EventPrinter(wishes, given.output);
      if (servers === undefined) {
        await followInstance(OperatorApi.ofSettings(internalUrlOf(given)), printer, given.output, stop.isStopped);
      } else await follow(servers, new Tail(wishes.last, printer), given.output, stop.isStopped);
    } finally {
      stop.forget();
    }
    return 'done';
  },
};

interface Wishes extends PrintedEvents {
  readonly last: number;
}

function wishesOf(given: Given): Wishes {
  return {
    last: numberOf(given, 'last', { standard: 10, least: 0, most: 100_000 }),
    event: textOf(given, 'event'),
    count: numberOf(given, 'count', { least: 1, most: 1_000_000_000 }) ?? Number.POSITIVE_INFINITY,
  };
}

/** The first failure ends it; a Redis that goes away later is waited for. */
async function follow(servers: OnServers, tail: Tail, output: Output, isStopped: () => boolean): Promise<void> {
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

/** How far the log was read, and how it goes on behind that. */
class Tail {
  readonly #last: number;
  readonly #printer: EventPrinter;
  #epoch: string | undefined;
  #offset = 0;

  /** `last`: so many of those that are there already are printed. */
  constructor(last: number, printer: EventPrinter) {
    this.#last = last;
    this.#printer = printer;
  }

  get isDone(): boolean {
    return this.#printer.isDone;
  }

  /** Prints what is new; whether there may be more. */
  async look(sight: Sight, place: Place): Promise<boolean> {
    const reply = await sight.ask(['HGET', stateBeside(place), 'epoch']);
    const epoch = reply === null ? '' : asText(reply);
    if (epoch !== this.#epoch) return await this.#begin(sight, place, epoch);
    const entries = asArray(await sight.ask(['XRANGE', place.value, `(${this.#offset}-0`, '+', 'COUNT', readAtOnce]));
    this.#print(epoch, entries.map(toLogged));
    return entries.length === readAtOnce;
  }

  /** Of the first epoch that is seen only the last events are printed, of later ones all. */
  async #begin(sight: Sight, { value: stream }: Place, epoch: string): Promise<boolean> {
    const isFirst = this.#epoch === undefined;
    this.#epoch = epoch;
    this.#offset = 0;
    if (!isFirst) {
      this.#printer.begin(epoch);
      return true;
    }
    const newest = asArray(await sight.ask(['XREVRANGE', stream, '+', '-', 'COUNT', Math.max(1, this.#last)]));
    const events = newest.map(toLogged).toReversed();
    this.#offset = events.at(-1)?.offset ?? 0;
    this.#print(epoch, this.#last === 0 ? [] : events);
    return true;
  }

  #print(epoch: string, events: readonly PrintedEvent[]): void {
    this.#offset = events.at(-1)?.offset ?? this.#offset;
    this.#printer.print(epoch, events);
  }
}

/** The fields of an entry: see `lua/events-prelude.lua`. */
function toLogged(entry: Reply): PrintedEvent {
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
