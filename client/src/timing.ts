/** Time and chance, as an argument, so that a test can play them. */
export interface Timing {
  /** Milliseconds since some instant. Never goes back. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Calls `run` after `ms` milliseconds. Returns how to prevent that. */
  after(ms: number, run: () => void): () => void;
}

export const systemTiming: Timing = {
  now: () => performance.now(),
  random: () => Math.random(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
