import type { Place } from './place.ts';

/** All validations asked for before the next microtask go out together: one write, one read, one timer. */
export class Validations {
  readonly #send: (places: readonly Place[]) => Promise<readonly (string | null)[]>;
  #batch: Validation[] = [];

  /** `send` resolves with a version for each place, in the same order. */
  constructor(send: (places: readonly Place[]) => Promise<readonly (string | null)[]>) {
    this.#send = send;
  }

  ask(place: Place): Promise<string | null> {
    return new Promise((resolve, reject) => {
      this.#batch.push({ place, resolve, reject });
      if (this.#batch.length === 1) queueMicrotask(() => void this.#sendTogether());
    });
  }

  async #sendTogether(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    try {
      const versions = await this.#send(batch.map(({ place }) => place));
      for (const [index, { resolve }] of batch.entries()) resolve(versions[index] ?? null);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

interface Validation {
  readonly place: Place;
  readonly resolve: (version: string | null) => void;
  readonly reject: (error: unknown) => void;
}
