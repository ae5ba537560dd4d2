/** What is to happen, by its time: a binary heap. What comes at the same time comes in the order in which it was asked for. */
export class Timeline {
  readonly #heap: Due[] = [];
  #count = 0;
  #now = 0;

  /** Microseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  at(time: number, happen: () => void): void {
    const heap = this.#heap;
    const due = { time: Math.max(time, this.#now), order: (this.#count += 1), happen };
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || isBefore(parent, due)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = due;
  }

  /** Lets everything happen that is due by then. */
  runUntil(end: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.time <= end; next = this.#heap[0]) {
      this.#takeFirst();
      this.#now = next.time;
      next.happen();
    }
    this.#now = end;
  }

  #takeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child += 1;
      const least = heap[child];
      if (least === undefined || isBefore(last, least)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = last;
  }
}

interface Due {
  readonly time: number;
  readonly order: number;
  readonly happen: () => void;
}

function isBefore(one: Due, other: Due): boolean {
  return one.time < other.time || (one.time === other.time && one.order < other.order);
}
