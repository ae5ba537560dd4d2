import { fetchStats, linesOf } from './instance-stats.ts';
import { secretInSettings, urlFlag, urlOf } from './instance-url.ts';
import type { Verb } from './verb.ts';

export const stats: Verb = {
  name: 'stats',
  summary: 'print live figures of a running instance once',
  details: [
    'Rate and hit ratio of the last ten seconds, latencies of the last ten to twenty, the hottest keys, the memory tier, round trips to Redis and the database, live connections. They are those of the process that answers: with `--workers` of one of them.',
    'It asks `GET /internal/stats` with the `REALTIME_API_SECRET` of the settings. Latencies and hot keys come from every eighth read or so.',
  ],
  flags: [urlFlag],
  run: async (given) => {
    const url = urlOf(given);
    const found = await fetchStats(url, secretInSettings());
    given.output.show(found, linesOf(found, url, hottestShown));
    return 'done';
  },
};

const hottestShown = 10;
