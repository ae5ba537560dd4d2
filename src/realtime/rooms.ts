import type { Socket } from 'socket.io';
import { isIdentifier } from '../resources/identifier.ts';
import type { Resource } from '../resources/resource.ts';
import { clientLimits } from './limits.ts';

/** Of clients that are up to date; the others are not sent anything yet. */
const everyone = 'energex:everyone';
/** Of those among them that have not asked for certain rows. */
const everything = 'energex:everything';

/** Which changes a client wants to hear: those of the rooms it subscribes to, or all while it has named none. */
export class Subscriptions {
  readonly #socket: Socket;
  readonly #isRoom: (name: string) => boolean;
  readonly #rooms = new Set<string>();
  #isJoined = false;
  #isChoosy = false;

  constructor(socket: Socket, isRoom: (name: string) => boolean) {
    this.#socket = socket;
    this.#isRoom = isRoom;
  }

  /** What is wrong with the name, `undefined` when nothing is. */
  add(room: unknown): string | undefined {
    if (typeof room !== 'string' || !this.#isRoom(room)) {
      return 'a room is the name of a list such as "posts", or of a row such as "post:42"';
    }
    if (!this.#rooms.has(room) && this.#rooms.size >= clientLimits.roomsAtATime)
      return `at most ${clientLimits.roomsAtATime} rooms at a time`;
    this.#rooms.add(room);
    this.#isChoosy = true;
    if (this.#isJoined) {
      void this.#socket.join(room);
      void this.#socket.leave(everything);
    }
    return undefined;
  }

  remove(room: unknown): string | undefined {
    if (typeof room !== 'string' || !this.#rooms.delete(room)) return 'this room was not subscribed to';
    void this.#socket.leave(room);
    return undefined;
  }

  /** From now on it is sent what comes. */
  join(): void {
    this.#isJoined = true;
    void this.#socket.join([everyone, ...(this.#isChoosy ? this.#rooms : [everything])]);
  }

  wants(rooms: readonly string[]): boolean {
    return rooms.length === 0 || !this.#isChoosy || rooms.some((room) => this.#rooms.has(room));
  }
}

/** Where an event of these rooms goes. */
export function audienceOf(rooms: readonly string[]): string[] {
  return rooms.length === 0 ? [everyone] : [everything, ...rooms];
}

/** The rooms there are: one for each list, and one for each row that could exist. */
export function roomsOf(resources: readonly Resource[]): (name: string) => boolean {
  const lists = new Set(resources.map(({ name }) => name));
  const items = new Set(resources.map(({ item }) => item));
  return (name) => {
    if (lists.has(name)) return true;
    const [item = '', id = '', ...more] = name.split(':');
    return more.length === 0 && items.has(item) && isIdentifier(id);
  };
}
