/**
 * What a write costs a list: the list is read as fast as it is answered while posts are changed at a fixed rate, once with
 * the list in segments and once loaded whole. Counted are the rows that the database reads, the bytes that Redis is sent, and
 * the lists that are answered.
 *
 *   npm run bench:lists -- --posts 1000,10000,100000 --writes 0,1,10,100 --seconds 5
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { hasWrk, measurePeak } from './load/wrk.ts';
import { startService } from './stage/servers.ts';
import { openStage, root, type Stage } from './stage/stage.ts';

const connections = 4;
const lists = ['segments', 'whole'] as const;

interface Figures {
  readonly listsPerSecond: number;
  readonly mbPerSecond: number;
  readonly rowsPerSecond: number;
  readonly redisKbPerSecond: number;
  readonly writesPerSecond: number;
  /** Share of the bytes that were answered and not loaded for it. */
  readonly hitShare: number;
  readonly cpuShare: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      posts: { type: 'string', default: '1000,10000,100000' },
      writes: { type: 'string', default: '0,1,10,100' },
      seconds: { type: 'string', default: '5' },
    },
  });
  if (!hasWrk) throw new Error('wrk is not installed: apt-get install wrk');
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
  console.log('  posts  writes/s  list      lists/s   MB/s   rows read/s  KB to Redis/s  hits in bytes  service CPU');
  for (const posts of numbers(values.posts)) {
    const stage = await openStage(posts);
    try {
      for (const writes of numbers(values.writes)) {
        for (const kind of lists)
          print(posts, kind, writes, await measure(stage, kind, writes, Number(values.seconds)));
      }
    } finally {
      await stage.close();
    }
  }
}

function numbers(text: string): number[] {
  return text.split(',').map(Number);
}

async function measure(stage: Stage, kind: string, writes: number, seconds: number): Promise<Figures> {
  await stage.redis.flushall();
  const service = await startService(stage, { LISTS: kind, AUDIT_PER_MILLION: '0', MEMORY_TIER_MB: '256' });
  const database = await createConnection({
    host: stage.environment['DB_HOST'] ?? '',
    port: Number(stage.environment['DB_PORT']),
    user: stage.environment['DB_USERNAME'] ?? '',
    password: stage.environment['DB_PASSWORD'] ?? '',
  });
  const count = async () => {
    const [rows] = await database.query<RowDataPacket[]>("SHOW GLOBAL STATUS LIKE 'Innodb_rows_read'");
    const info = await stage.redis.info('stats');
    return {
      rows: Number(rows[0]?.['Value']),
      redisBytes: Number(/total_net_input_bytes:(\d+)/.exec(info)?.[1]),
      cpu: service.cpuMicros(),
      at: performance.now(),
    };
  };
  try {
    const url = `http://127.0.0.1:${service.port}/cache/posts`;
    let bytes = 0;
    for (let hits = 0; hits < 3; ) {
      const answer = await fetch(url);
      bytes = (await answer.arrayBuffer()).byteLength;
      if (answer.headers.get('cache-status')?.includes('hit') === true) hits += 1;
    }
    const pathsFile = join(stage.folder, 'list');
    writeFileSync(pathsFile, '/cache/posts\n');
    const before = await count();
    const writer = startWriter(url, stage.posts, writes);
    const { requests } = await measurePeak(service.port, { connections, pathsFile }, seconds);
    const written = await writer.stop();
    const after = await count();
    const elapsed = (after.at - before.at) / 1_000;
    const rows = after.rows - before.rows;
    return {
      listsPerSecond: requests / elapsed,
      mbPerSecond: (requests * bytes) / elapsed / 1e6,
      rowsPerSecond: rows / elapsed,
      redisKbPerSecond: (after.redisBytes - before.redisBytes) / elapsed / 1e3,
      writesPerSecond: written / elapsed,
      // Each row is read with its author; what the writes themselves read counts against the hits too.
      hitShare: 1 - Math.min(1, rows / 2 / (requests * stage.posts)),
      cpuShare: (after.cpu - before.cpu) / 1e6 / elapsed,
    };
  } finally {
    await database.end();
    await service.stop();
  }
}

/** Changes posts at random, due by the clock; each after the one before was answered. */
function startWriter(url: string, posts: number, perSecond: number): { stop(): Promise<number> } {
  const stop = new AbortController();
  const write = async (): Promise<number> => {
    if (perSecond === 0) return 0;
    const began = performance.now();
    for (let written = 0; ; written += 1) {
      const waitMs = began + (written * 1_000) / perSecond - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      if (stop.signal.aborted) return written;
      const id = 1 + Math.floor(Math.random() * posts);
      const body = JSON.stringify({ title: `changed ${written} ${Date.now()}` });
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/${id}`, { method: 'PUT', headers, body });
      if (answer.status !== 200) throw new Error(`a write was answered ${answer.status}`);
    }
  };
  const writing = write();
  return {
    stop: async () => {
      stop.abort();
      return await writing;
    },
  };
}

function print(posts: number, kind: string, writes: number, figures: Figures): void {
  const { listsPerSecond, mbPerSecond, rowsPerSecond, redisKbPerSecond, writesPerSecond, hitShare, cpuShare } = figures;
  const cells = [
    String(posts).padStart(7),
    `${writes}${writes > 0 && writesPerSecond < writes * 0.95 ? ` (${writesPerSecond.toFixed(1)})` : ''}`.padStart(9),
    ` ${kind.padEnd(8)}`,
    listsPerSecond.toFixed(1).padStart(8),
    mbPerSecond.toFixed(0).padStart(6),
    rowsPerSecond.toFixed(0).padStart(13),
    redisKbPerSecond.toFixed(0).padStart(14),
    `${(hitShare * 100).toFixed(2)} %`.padStart(14),
    `${(cpuShare * 100).toFixed(0)} %`.padStart(12),
  ];
  console.log(cells.join(' '));
}

await main();
