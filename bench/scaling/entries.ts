import type { Timeline } from './timeline.ts';

/** What Redis knows of keys that were written: their versions, fences and leases. All others are cached, at version 0. */
export class Entries {
  readonly #entries = new Map<number, Entry>();
  readonly #timeline: Timeline;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  isCurrent(key: number, version: number): boolean {
    const entry = this.#entries.get(key);
    return entry === undefined ? version === 0 : entry.isFilled && entry.version === version;
  }

  versionOf(key: number): number {
    return this.#entries.get(key)?.version ?? 0;
  }

  /** Takes the value and the lease away; returns how to lift this fence. */
  fence(key: number): () => void {
    const entry = this.#entryOf(key);
    entry.version += 1;
    entry.isFilled = false;
    entry.isLeased = false;
    entry.fences += 1;
    this.#wake(entry);
    return () => {
      entry.version += 1;
      entry.isFilled = false;
      entry.isLeased = false;
      entry.fences -= 1;
    };
  }

  acquire(key: number, woken: () => void): 'hit' | 'bypass' | 'lease' | 'wait' {
    const entry = this.#entryOf(key);
    if (entry.isFilled) return 'hit';
    if (entry.fences > 0) return 'bypass';
    if (entry.isLeased) {
      entry.waiting.push(woken);
      return 'wait';
    }
    entry.isLeased = true;
    return 'lease';
  }

  /** Stores, unless something was fenced since `version`. */
  fill(key: number, version: number): void {
    const entry = this.#entryOf(key);
    if (entry.version !== version || entry.fences > 0) return;
    entry.isFilled = true;
    entry.isLeased = false;
    this.#wake(entry);
  }

  #wake(entry: Entry): void {
    const { waiting } = entry;
    entry.waiting = [];
    for (const woken of waiting) this.#timeline.at(this.#timeline.now, woken);
  }

  #entryOf(key: number): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry = { version: 0, isFilled: true, isLeased: false, fences: 0, waiting: [] };
    this.#entries.set(key, entry);
    return entry;
  }
}

interface Entry {
  version: number;
  isFilled: boolean;
  isLeased: boolean;
  fences: number;
  waiting: (() => void)[];
}
