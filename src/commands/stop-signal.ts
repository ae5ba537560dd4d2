/** SIGINT and SIGTERM, for verbs that end what they are at in good order. */
export function stopOnSignal(): { readonly isStopped: () => boolean; readonly forget: () => void } {
  let stopped = false;
  const stop = (): void => {
    stopped = true;
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return {
    isStopped: () => stopped,
    forget: () => {
      process.removeListener('SIGINT', stop);
      process.removeListener('SIGTERM', stop);
    },
  };
}
