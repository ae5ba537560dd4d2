import type { Cache } from '../../src/cache/cache.ts';
import type { Composition, Segment, SegmentSource, Together } from '../../src/cache/composition.ts';
import type { Key } from '../../src/cache/key.ts';
import type { Answer } from '../../src/cache/answer.ts';
import type { Loaded } from '../../src/cache/read-through.ts';
import { toBuffer } from '../../src/cache/rope.ts';

/** A whole `all` made of segments `s:a`, `s:b` ..., each one text, over a database in a map; notes what is loaded. */
export class Segmented implements SegmentSource {
  readonly database: Map<Key, string>;
  readonly loads: string[] = [];
  isWhole = false;
  /** Whether the meta tells of the bytes. */
  isTagged = false;
  /** Runs in the middle of a load, after what it names was read. */
  during: (what: string) => Promise<void> = async () => undefined;

  constructor(texts: Readonly<Record<string, string>>) {
    this.database = new Map(Object.entries(texts).map(([name, text]) => [`s:${name}`, text]));
  }

  read(cache: Cache, composition: Composition): Promise<Answer> {
    return cache.read('all', () => this.loadWhole(), composition);
  }

  /** Writes as the service does: fence, commit, release. */
  async write(cache: Cache, name: string, text: string, beforeCommit = async (): Promise<void> => undefined) {
    await cache.write(async (fence) => {
      await fence([`s:${name}`, 'all'], async () => undefined);
      await beforeCommit();
      this.database.set(`s:${name}`, text);
    });
  }

  async segments(): Promise<readonly Key[] | undefined> {
    const keys = this.isWhole ? undefined : [...this.database.keys()];
    await this.#note('segments');
    return keys;
  }

  segmentsOf(meta: string): readonly Key[] | undefined {
    return meta.startsWith('of ') ? meta.slice('of '.length).split(' = ')[0]?.split(' ') : undefined;
  }

  async loadSegment(key: Key): Promise<Loaded> {
    const loaded = { ...this.#segment(key), ttlMs: 60_000, expiresTogether: true };
    await this.#note(key);
    return loaded;
  }

  async loadTogether(keys: readonly Key[]): Promise<Together> {
    const together = {
      keys: this.isWhole ? undefined : [...this.database.keys()],
      loaded: new Map(keys.map((key) => [key, this.#segment(key)])),
    };
    await this.#note(`together ${keys.join(' ')}`);
    return together;
  }

  async loadWhole(): Promise<Loaded> {
    const loaded = { value: Buffer.from([...this.database.values()].join(' ')), meta: 'whole', ttlMs: 60_000 };
    await this.#note('whole');
    return loaded;
  }

  join(keys: readonly Key[], segments: readonly Segment[]): Loaded {
    const value = Buffer.from(segments.map((segment) => toBuffer(segment.value).toString()).join(' '));
    const meta = `of ${keys.join(' ')}`;
    return { value, meta: this.isTagged ? `${meta} = ${value.toString()}` : meta, ttlMs: 60_000 };
  }

  #segment(key: Key): Segment {
    return { value: Buffer.from(this.database.get(key) ?? ''), meta: '' };
  }

  async #note(what: string): Promise<void> {
    this.loads.push(what);
    await this.during(what);
  }

  /** What was loaded since it was asked last. */
  taken(): string[] {
    return this.loads.splice(0);
  }
}

export function textOf({ value }: Pick<Answer, 'value'>): string {
  return value.toString();
}
