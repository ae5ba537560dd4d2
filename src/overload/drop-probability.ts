/**
 * The share of requests to refuse so that a delay stays at its target: a proportional integral controller, as PIE has for the
 * queue of a router (RFC 8033, section 4.2). What integrates is how far the delay is from the target; what is proportional, how
 * fast it changes. Errors are in targets instead of seconds, and the steps are those of a server whose queue turns over in
 * milliseconds.
 */
export class DropProbability {
  readonly #targetMs: number;
  #value = 0;
  #lastMs = 0;

  constructor(targetMs: number) {
    this.#targetMs = targetMs;
  }

  /** From 0 to `most`. */
  get value(): number {
    return this.#value;
  }

  /** To be called every `updateMs`, late as that may be. */
  update(delayMs: number): void {
    const error = Math.min(mostError, (delayMs - this.#targetMs) / this.#targetMs);
    const trend = (delayMs - this.#lastMs) / this.#targetMs;
    this.#lastMs = delayMs;
    this.#value = Math.min(most, Math.max(0, this.#value + integral * error + proportional * trend));
  }
}

/** Of updates, in milliseconds. */
export const updateMs = 20;
/** With a delay of twice the target everything is refused after 25 updates; without a delay nothing after 50. */
const integral = 0.02;
const proportional = 0.1;
const mostError = 4;
/** Some get through: else nobody would see that there is time again for what is refused, nor would a writer ever be heard. */
const most = 0.98;
