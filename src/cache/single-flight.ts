import type { Clock } from './clock.ts';

/**
 * Single-flight without late joins.
 *
 * Per key there is at most one flight in the air and one at the gate:
 *
 *   idle -> boarding        the first caller opens a flight; it takes off at the end of this turn of the event loop
 *   boarding -> flying      its work begins; from now on nobody may board
 *   flying -> idle          no one came meanwhile
 *   flying -> boarding      callers that came while it flew share the next flight, which takes off when this one lands
 *
 * Whoever boards does so before the work begins, so the answer describes an instant after the caller arrived. Libraries
 * that let a caller join a flight in the air hand it an answer that may be older than its request (the "late join" bug).
 */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();
  readonly #clock: Pick<Clock, 'soon'>;
  #boarding: Flight<T>[] = [];

  constructor(clock: Pick<Clock, 'soon'>) {
    this.#clock = clock;
  }

  /**
   * Joins the flight of `key` that has not begun, or opens one with `work`.
   * `onBoard` tells whether this caller's own `work` will run or another's.
   */
  fly(key: string, work: () => Promise<T>): { readonly landed: Promise<T>; readonly leads: boolean } {
    const current = this.#flights.get(key);
    if (current === undefined) {
      const flight = openFlight(key, work);
      this.#flights.set(key, flight);
      this.#takeOffSoon(flight);
      return { landed: flight.landed, leads: true };
    }
    if (!current.flying) {
      return { landed: current.landed, leads: false };
    }
    if (current.next !== undefined) {
      return { landed: current.next.landed, leads: false };
    }
    current.next = openFlight(key, work);
    return { landed: current.next.landed, leads: true };
  }

  /** Whether a flight of `key` is in the air or at the gate. */
  has(key: string): boolean {
    return this.#flights.has(key);
  }

  /** How many keys have a flight in the air or at the gate. */
  get size(): number {
    return this.#flights.size;
  }

  #takeOffSoon(flight: Flight<T>): void {
    this.#boarding.push(flight);
    if (this.#boarding.length === 1) {
      this.#clock.soon(() => {
        const flights = this.#boarding;
        this.#boarding = [];
        for (const each of flights) this.#takeOff(each);
      });
    }
  }

  #takeOff(flight: Flight<T>): void {
    flight.flying = true;
    const land = (): void => {
      const next = flight.next;
      if (next === undefined) {
        this.#flights.delete(flight.key);
      } else {
        this.#flights.set(flight.key, next);
        this.#takeOffSoon(next);
      }
    };
    flight.work().then(
      (result) => {
        land();
        flight.resolve(result);
      },
      (error: unknown) => {
        land();
        flight.reject(error);
      },
    );
  }
}

interface Flight<T> {
  readonly key: string;
  readonly work: () => Promise<T>;
  readonly landed: Promise<T>;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
  flying: boolean;
  next: Flight<T> | undefined;
}

function openFlight<T>(key: string, work: () => Promise<T>): Flight<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { key, work, landed: promise, resolve, reject, flying: false, next: undefined };
}
