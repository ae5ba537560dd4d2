import type { MemoryTier } from '../cache/memory-tier.ts';
import type { SocketServer } from '../realtime/socket-server.ts';
import type { LiveFigures } from './live-figures.ts';
import type { Part } from './workers.ts';

/** What `GET /internal/stats` says of this process. `commands/stats.ts` reads it. */
export function describeProcess(live: LiveFigures, { memory, sockets, worker }: ProcessParts): object {
  const { requests, memoryHits, storeHits, misses, bypasses, fills, invalidations } = live.rates();
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
    // Per second.
    rates: { requests, memoryHits, storeHits, misses, bypasses, fills, invalidations },
    hitRatio: reads === 0 ? null : hits / reads,
    latency: live.latency(),
    hottest: live.hottest(hottestKeys),
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
