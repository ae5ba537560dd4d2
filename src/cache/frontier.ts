import type { Commit, Position, Since } from './store.ts';

/** What loads must show, in a store that is in this process: see `lua/prelude.lua`, `position`. */
export class Frontier {
  #position: Position | undefined;
  #mark = 0;

  get since(): Since {
    return { position: this.#position, mark: String(this.#mark) };
  }

  /** Behind this stands a commit. */
  note(commit: Commit): void {
    if (commit === 'nothing') return;
    if (commit === 'unknown') this.#forget();
    else this.#advance(commit.position);
  }

  /** What `since` did not know. */
  find({ mark }: Since, position: Position): void {
    if (this.#position === undefined && mark === String(this.#mark)) this.#position = position;
  }

  /** What is not known stays so, with another mark: who is finding it out may have looked before this commit. */
  #advance(position: Position): void {
    if (this.#position === undefined) {
      this.#forget();
      return;
    }
    const [stream, number] = parts(position);
    const [latestStream, latest] = parts(this.#position);
    if (stream !== latestStream) this.#forget();
    else if (number > latest) this.#position = position;
  }

  #forget(): void {
    this.#position = undefined;
    this.#mark += 1;
  }
}

/**
 * What shows all of these at once. `undefined` when one asks for the primary as it is; one that does not know stands for all,
 * and so do two streams.
 */
export function latestOf(all: readonly (Since | undefined)[]): Since | undefined {
  if (!all.every((since) => since !== undefined)) return undefined;
  return all.reduce((one, other) => later(one, other));
}

function later(one: Since, other: Since): Since {
  if (one.position === undefined || other.position === undefined) return one.position === undefined ? one : other;
  const [stream, number] = parts(one.position);
  const [otherStream, otherNumber] = parts(other.position);
  if (stream !== otherStream) return { ...one, position: undefined };
  return otherNumber > number ? other : one;
}

function parts(position: Position): [stream: string, number: bigint] {
  const at = position.lastIndexOf(' ');
  return [position.slice(0, at), BigInt(position.slice(at + 1))];
}
