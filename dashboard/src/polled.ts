import { useEffect, useState } from 'react';

/** What `ask` answered last, asked anew while the page is shown. `undefined` when it could not be had. `ask` stays the same. */
export function usePolled<T>(ask: () => Promise<T>, everyMs: number): T | undefined {
  const [value, setValue] = useState<T>();
  useEffect(() => {
    let over = false;
    const poll = (): void => {
      if (document.hidden) return;
      ask().then(
        (answer) => (over ? undefined : setValue(answer)),
        () => setValue(undefined),
      );
    };
    poll();
    const timer = setInterval(poll, everyMs);
    return () => {
      over = true;
      clearInterval(timer);
    };
  }, [ask, everyMs]);
  return value;
}
