import { linesOf, statsSource } from './instance-stats.ts';
import { internalUrlFlag, internalUrlOf } from './instance-url.ts';
import type { Verb } from './verb.ts';

export const stats: Verb = {
  name: 'stats',
  summary: 'print live figures of a running instance once',
  details: [
    'Rate, hit ratio and latencies of the last ten seconds, the hottest keys, the memory tier, round trips to Redis and the database, live connections. They are those of the process that answers: with `--workers` of one of them.',
    'It asks `GET /internal/stats` with the `REALTIME_API_SECRET` of the settings, without one what the dashboard asks. Hot keys are counted while somebody asks, and for 30 seconds after that, one read in eight or so: the first answer takes a second.',
  ],
  flags: [internalUrlFlag],
  run: async (given) => {
    const url = internalUrlOf(given);
    const found = await statsSource(url)();
    given.output.show(found, linesOf(found, url, hottestShown));
    return 'done';
  },
};

const hottestShown = 10;
