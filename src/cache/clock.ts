/**
 * Time and chance as the engine sees them, handed in so that a seed can replay an interleaving.
 */
export interface Clock {
  /** Milliseconds on a clock that never jumps back; only differences mean anything. */
  now(): number;
  /** Resolves after `ms` milliseconds. */
  sleep(ms: number): Promise<void>;
  /** Runs `task` every `ms` milliseconds until the returned function is called; never keeps the process alive. */
  every(ms: number, task: () => void): () => void;
  /** Runs `task` at the end of this turn of the event loop: everything asked for within a turn is asked for together. */
  soon(task: () => void): void;
  /** Uniform in [0, 1). */
  random(): number;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  every: (ms, task) => {
    const timer = setInterval(task, ms).unref();
    return () => clearInterval(timer);
  },
  soon: (task) => {
    setImmediate(task);
  },
  random: Math.random,
};

/** Resolves after `ms` milliseconds like `sleep`, and never keeps the process alive. */
export function pause(clock: Pick<Clock, 'every'>, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.every(ms, () => {
      cancel();
      resolve();
    });
  });
}
