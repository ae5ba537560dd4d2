import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { describeError } from '../errors.ts';
import { usageError } from './verb.ts';
import type { Position, WarmPlan } from './warm-paths.ts';

/** Where a run stopped, in a file: for the same plan, or it is refused. */
export class WarmState {
  readonly #file: string | undefined;
  readonly #plan: string;

  constructor(file: string | undefined, plan: WarmPlan) {
    this.#file = file;
    this.#plan = JSON.stringify(plan);
  }

  /** Throws `CatalogueError` `USAGE` for a file that is not of this plan. */
  load(): Position | undefined {
    if (this.#file === undefined || !existsSync(this.#file)) return undefined;
    let content: unknown;
    try {
      content = JSON.parse(readFileSync(this.#file, 'utf8'));
    } catch (error) {
      throw usageError(`--state names a file that is no state: ${describeError(error)}`);
    }
    const { plan, position } = Object(content);
    if (JSON.stringify(plan) !== this.#plan) {
      throw usageError(
        '--state names a file that is of other flags: remove it, or use the flags that it was made with',
      );
    }
    const { stage, done, after } = Object(position);
    if (typeof stage !== 'string' || !Number.isSafeInteger(done) || done < 0) {
      throw usageError('--state names a file that holds no position');
    }
    return { stage, done, ...(typeof after === 'string' ? { after } : {}) };
  }

  /** As a whole or not at all: the run may be killed meanwhile. */
  save(position: Position): void {
    if (this.#file === undefined) return;
    const text = `{"plan":${this.#plan},"position":${JSON.stringify(position)}}\n`;
    writeFileSync(`${this.#file}.new`, text);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** The run has come to its end: the next one begins anew. */
  clear(): void {
    if (this.#file !== undefined) rmSync(this.#file, { force: true });
  }
}
