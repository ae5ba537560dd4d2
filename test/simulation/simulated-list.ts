import type { Segment, SegmentSource, Together } from '../../src/cache/composition.ts';
import type { Key } from '../../src/cache/key.ts';
import type { Loaded } from '../../src/cache/read-through.ts';
import { Rope, toBuffer } from '../../src/cache/rope.ts';
import type { Since } from '../../src/cache/store.ts';
import type { Database } from '../../src/database/database.ts';
import { list, rows, rowsThere, segmentKey } from './data.ts';
import { statements } from './database/statements.ts';

/** The list of all rows, a segment for each. */
export class SimulatedList implements SegmentSource {
  readonly #database: Pick<Database, 'load'>;
  readonly #ttlMs: () => number;
  readonly #looksOnce: (blind: boolean) => void;
  readonly #trustsMeta: boolean;
  #meta: string | undefined;

  /**
   * Mutations: `looksOnce` is told when versions would be looked up for the second time; with `trustsMeta` what is put
   * together for a version is given its meta unseen.
   */
  constructor(
    database: Pick<Database, 'load'>,
    ttlMs: () => number,
    { looksOnce, trustsMeta }: { looksOnce: (blind: boolean) => void; trustsMeta: boolean },
  ) {
    this.#trustsMeta = trustsMeta;
    this.#database = database;
    this.#ttlMs = ttlMs;
    this.#looksOnce = looksOnce;
  }

  async segments(): Promise<readonly Key[]> {
    return keysIn(await this.#read(rowsThere));
  }

  segmentsOf(meta: string): readonly Key[] {
    if (this.#trustsMeta) this.#meta = meta;
    return keysIn(meta);
  }

  async loadSegment(key: Key, since?: Since): Promise<Loaded> {
    const { text, position } = await this.#load(key, since);
    return { ...toSegment(text), ttlMs: this.#ttlMs(), expiresTogether: true, position };
  }

  async loadTogether(keys: readonly Key[]): Promise<Together> {
    const text = await this.#read(rowsThere);
    const there = new Map(text.split(' ').map((row) => [keysIn(row)[0], row]));
    this.#looksOnce(true);
    return { keys: keysIn(text), loaded: new Map(keys.map((key) => [key, toSegment(there.get(key) ?? '')])) };
  }

  async loadWhole(since?: Since): Promise<Loaded> {
    const { text, position } = await this.#load(list, since);
    return { value: Buffer.from(text), meta: metaOf(text), ttlMs: this.#ttlMs(), position };
  }

  join(_keys: readonly Key[], segments: readonly Segment[]): Loaded {
    this.#looksOnce(false);
    const texts = segments.map(({ value }) => toBuffer(value).toString()).filter((text) => text !== '');
    const value = new Rope([Buffer.from('['), Buffer.from(texts.join(' ')), Buffer.from(']')], []);
    const meta = this.#meta ?? metaOf(value.toString());
    this.#meta = undefined;
    return { value, meta, ttlMs: this.#ttlMs() };
  }

  async #read(what: string): Promise<string> {
    return (await this.#load(what)).text;
  }

  async #load(what: string, since?: Since): Promise<{ text: string; position: string | undefined }> {
    const { rows, position } = await this.#database.load(statements.read, [what], since);
    return { text: String(rows[0]?.[0]), position };
  }
}

/** The rows that a text shows. */
function keysIn(text: string): readonly Key[] {
  return rows.filter((row) => text.includes(`${row}=`)).map(segmentKey);
}

function toSegment(text: string): Segment {
  return { value: Buffer.from(text), meta: metaOf(text) };
}

export function metaOf(value: string): string {
  return `of ${value}`;
}
