import type { MemoryTier } from '../cache/memory-tier.ts';
import type { SocketServer } from '../realtime/socket-server.ts';
import type { LiveFigures } from './live-figures.ts';
import type { Part } from './workers.ts';

/** What `GET /internal/stats` says of this process. `commands/stats.ts` reads it. */
export async function describeProcess(live: LiveFigures, { memory, sockets, worker }: ProcessParts): Promise<object> {
  await live.ask();
  const { rates, latency, hottest } = live.look(hottestKeys);
  const { memoryHits, storeHits, misses, bypasses } = rates;
  const hits = memoryHits + storeHits;
  const reads = hits + misses + bypasses;
  return {
    timestamp: new Date().toISOString(),
    process: {
      pid: process.pid,
      worker: worker?.number ?? null,
      upSeconds: Math.round(process.uptime()),
      memoryMb: Math.round(process.memoryUsage.rss() / bytesPerMb),
    },
    rates,
    hitRatio: reads === 0 ? null : hits / reads,
    latency,
    hottest,
    memoryTier: { entries: memory.size, mb: memory.bytes / bytesPerMb },
    sockets: sockets.connections,
  };
}

const bytesPerMb = 1024 * 1024;
const hottestKeys = 20;

export interface ProcessParts {
  readonly memory: MemoryTier;
  readonly sockets: Pick<SocketServer, 'connections'>;
  readonly worker: Part | undefined;
}
