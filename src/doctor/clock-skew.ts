import { type Finding, ok, warn } from './finding.ts';

const mostSkewMs = 1_000;

/**
 * How far the clock of a server is from ours, by one question: its answer was given at some time between `before` and
 * `after` (Cristian, "Probabilistic clock synchronization", 1989). All in milliseconds of the epoch.
 */
export function examineSkew(
  id: string,
  server: string,
  { theirs, before, after }: { readonly theirs: number; readonly before: number; readonly after: number },
): Finding {
  const skewMs = Math.round(theirs - (before + after) / 2);
  const exact = Math.ceil((after - before) / 2);
  const shown = `the clock of ${server} is ${Math.abs(skewMs)} ms ${skewMs < 0 ? 'behind' : 'ahead of'} ours, give or take ${exact}`;
  if (Math.abs(skewMs) - exact <= mostSkewMs) return ok(id, shown);
  return warn(id, {
    finding: shown,
    meaning:
      'Deadlines of the cache do not depend on it. Times of rows, answers and logs do, and how long an Idempotency-Key counts.',
    remedy: 'chronyc makestep   # or timedatectl set-ntp true, on the machine whose clock is wrong',
  });
}
