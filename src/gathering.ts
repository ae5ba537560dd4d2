/**
 * What is asked for before the next microtask goes out together, at most `mostTogether` and `mostBytes` at a time: one call
 * of a script, one statement. Nobody joins what has gone out already.
 */
export class Gathering<Asked, Answer> {
  readonly #send: (asked: readonly Asked[]) => Promise<readonly Answer[]>;
  readonly #bounds: GatheringBounds<Asked>;
  #waiting: Waiting<Asked, Answer>[] = [];
  #bytes = 0;

  /** `send` resolves with an answer for each that was asked for, as many, in the same order. */
  constructor(send: (asked: readonly Asked[]) => Promise<readonly Answer[]>, bounds: GatheringBounds<Asked>) {
    this.#send = send;
    this.#bounds = bounds;
  }

  ask(asked: Asked): Promise<Answer> {
    const { mostTogether, mostBytes = Number.POSITIVE_INFINITY, bytesOf } = this.#bounds;
    const bytes = bytesOf?.(asked) ?? 0;
    if (this.#waiting.length >= mostTogether || this.#bytes + bytes > mostBytes) this.#sendTogether();
    this.#bytes += bytes;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ asked, resolve, reject });
      if (this.#waiting.length === 1) queueMicrotask(() => this.#sendTogether());
    });
  }

  #sendTogether(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    this.#bytes = 0;
    this.#send(waiting.map(({ asked }) => asked)).then(
      (answers) => {
        for (const [index, answer] of answers.entries()) waiting[index]?.resolve(answer);
      },
      (error: unknown) => {
        for (const { reject } of waiting) reject(error);
      },
    );
  }
}

export interface GatheringBounds<Asked> {
  readonly mostTogether: number;
  readonly mostBytes?: number;
  readonly bytesOf?: (asked: Asked) => number;
}

interface Waiting<Asked, Answer> {
  readonly asked: Asked;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}
