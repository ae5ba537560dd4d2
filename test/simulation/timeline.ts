/**
 * Virtual time: a queue of events. Nothing in a simulation happens but as an event, one after the other, and between two
 * of them all promises settle.
 */
export class Timeline {
  /** Milliseconds. */
  now = 0;
  events = 0;
  readonly #heap: TimedEvent[] = [];
  #count = 0;
  #broken: Error | undefined;

  after(ms: number, run: () => void): TimedEvent {
    return this.at(this.now + ms, run);
  }

  at(at: number, run: () => void): TimedEvent {
    this.#count += 1;
    const event: TimedEvent = { at: Math.max(at, this.now), order: this.#count, run };
    this.#push(event);
    return event;
  }

  /** Ends the run with this error. */
  fail(error: Error): void {
    this.#broken ??= error;
  }

  /** Plays what is due until `end`, or until nothing is left. Rejects with what `fail` was told. */
  async playUntil(end: number, most: number): Promise<void> {
    await settled();
    for (let next = this.#heap[0]; next !== undefined && next.at <= end; next = this.#heap[0]) {
      this.#pop();
      if (next.run === undefined) continue;
      this.now = next.at;
      this.events += 1;
      next.run();
      await settled();
      this.#throwIfBroken();
      if (this.events > most) throw new Error(`more than ${most} events: something goes round in circles`);
    }
    this.now = end;
    this.#throwIfBroken();
  }

  #throwIfBroken(): void {
    if (this.#broken !== undefined) throw this.#broken;
  }

  #push(event: TimedEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      const other = heap[child + 1];
      if (below !== undefined && other !== undefined && isBefore(other, below)) {
        child += 1;
        below = other;
      }
      if (below === undefined || isBefore(last, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}

export interface TimedEvent {
  readonly at: number;
  readonly order: number;
  /** Nothing, once the event was cancelled. */
  run: (() => void) | undefined;
}

function isBefore(a: TimedEvent, b: TimedEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/**
 * Node runs what `nextTick` holds once no promise is left to settle. Unlike `setImmediate` this takes no turn of the
 * event loop, and is ten times as fast.
 */
async function settled(): Promise<void> {
  // From a task of its own, `nextTick` would come first.
  await Promise.resolve();
  await new Promise<void>((resolve) => {
    process.nextTick(resolve);
  });
}
