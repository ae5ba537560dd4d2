/**
 * Settles like `promise`, or after `ms` milliseconds like `late`, which may throw. When this process itself was busy for
 * that long, the answer may already lie in a socket: it is looked for once more before anyone is blamed.
 */
export function withDeadline<T>(ms: number, promise: Promise<T>, late: () => T): Promise<T> {
  // Not `Promise.race` in an async function, which would make five promises of one: every statement comes along here.
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      try {
        resolve(late());
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(() => setImmediate(giveUp), ms);
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
