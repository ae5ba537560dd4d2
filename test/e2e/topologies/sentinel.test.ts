import { startSentinels } from '../../harness/redis-sentinel.ts';
import { withClient } from '../../harness/redis-server.ts';
import { runWholeApi } from './suites.ts';

const { master, sentinels, stop } = await startSentinels();

await runWholeApi({
  name: 'a master, a replica and three Sentinels',
  environment: { REDIS_SENTINELS: sentinels.map(({ host, port }) => `${host}:${port}`).join(',') },
  flush: () => withClient(master.url, async (client) => void (await client.flushall())),
  stop,
});
