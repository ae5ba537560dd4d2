import type { Position } from './change-source.ts';

/**
 * The port to where the feed remembers how far it has got. `redis/feed-checkpoint.ts` implements it, and the class below, in
 * memory; `test/contracts/checkpoint.ts` says what both must hold.
 *
 * "Everything up to here was taken out of the cache" is only worth something together with that very cache: a checkpoint is
 * lost whenever entries are, and not trusted whenever they are not. So an entry that is served was either loaded behind the
 * checkpoint, or is still right, or will be invalidated by a change that is yet to come. Without a checkpoint everything is
 * invalidated.
 *
 * Calls reject with `StoreUnavailable` while the cache store cannot be reached.
 */
export interface Checkpoint {
  load(): Promise<Mark | null>;
  save(mark: Mark): Promise<void>;
}

export interface Mark {
  readonly position: Position;
  /** Which tables are followed: what others there are was not taken care of. */
  readonly tables: readonly string[];
  /** Since the feed last started at the end. Places from before mean nothing any more. */
  readonly run: string;
}

export class MemoryCheckpoint implements Checkpoint {
  #text: string | undefined;

  async load(): Promise<Mark | null> {
    return this.#text === undefined ? null : parseMark(this.#text);
  }

  async save(mark: Mark): Promise<void> {
    this.#text = writeMark(mark);
  }
}

export function writeMark({ position, tables, run }: Mark): string {
  return JSON.stringify({ position, tables, run });
}

/** `null` for what no `writeMark` of this version wrote. */
export function parseMark(text: string): Mark | null {
  try {
    const { position, tables, run }: Record<string, unknown> = Object(JSON.parse(text));
    const { log, file, offset, gtids }: Record<string, unknown> = Object(position);
    const isPosition = typeof log === 'string' && typeof file === 'string' && typeof offset === 'number';
    if (!isPosition || typeof run !== 'string' || !Array.isArray(tables)) return null;
    const ids = typeof gtids === 'string' ? { gtids } : {};
    return { position: { log, file, offset, ...ids }, tables: tables.map(String), run };
  } catch {
    return null;
  }
}
