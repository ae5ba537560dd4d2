/**
 * Settles like `promise`, or after `ms` milliseconds like `late`, which may throw. When this process itself was busy for
 * that long, the answer may already lie in a socket: it is looked for once more before anyone is blamed.
 */
export async function withDeadline<T>(ms: number, promise: Promise<T>, late: () => T): Promise<T> {
  const { promise: elapsed, resolve, reject } = Promise.withResolvers<T>();
  const giveUp = (): void => {
    try {
      resolve(late());
    } catch (error) {
      reject(error);
    }
  };
  const timer = setTimeout(() => setImmediate(giveUp), ms);
  try {
    return await Promise.race([promise, elapsed]);
  } finally {
    clearTimeout(timer);
  }
}
