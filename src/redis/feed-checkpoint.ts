import { type Checkpoint, type Mark, parseMark, writeMark } from '../change-feed/checkpoint.ts';
import type { RedisStore } from './store.ts';

/** The checkpoint of the change feed beside the entries that it speaks of, trusted as they are. */
export class RedisCheckpoint implements Checkpoint {
  readonly #store: Pick<RedisStore, 'keep' | 'kept'>;
  readonly #key: string;

  constructor(store: Pick<RedisStore, 'keep' | 'kept'>, key = 'energex:feed') {
    this.#store = store;
    this.#key = key;
  }

  async load(): Promise<Mark | null> {
    const text = await this.#store.kept(this.#key);
    return text === null ? null : parseMark(text);
  }

  async save(mark: Mark): Promise<void> {
    await this.#store.keep(this.#key, writeMark(mark));
  }
}
