/**
 * Many clients that are slow to take a long list, each of another time, while posts are changed: what the process takes of
 * memory. Each client takes some bytes now and then; the list is larger than what the service may keep in memory.
 *
 *   npm run bench:slow-readers -- --posts 100000 --readers 50 --seconds 20 [--coding gzip --memory 128]
 *
 * With a content coding each waits until the list is there in it, or for four seconds.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import { startService } from './stage/servers.ts';
import { openStage, root } from './stage/stage.ts';

const { values } = parseArgs({
  options: {
    posts: { type: 'string', default: '100000' },
    readers: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '20' },
    coding: { type: 'string', default: 'identity' },
    /** L1, in MiB. */
    memory: { type: 'string', default: '16' },
  },
});

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024;
}

/** Asks for the list, and takes 64 KB ten times a second. */
function readSlowly(port: number): { readonly socket: Socket; readonly status: () => string } {
  let status = '';
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(`GET /cache/posts HTTP/1.1\r\nHost: h\r\nAccept-Encoding: ${values.coding}\r\n\r\n`);
  socket.once('readable', () => {
    const head = String(socket.read(64 * 1024));
    status = `${head.slice(9, 12)} ${/content-encoding: (\w+)/.exec(head)?.[1] ?? 'plain'}`;
    const timer = setInterval(() => void socket.read(64 * 1024), 100);
    socket.on('close', () => clearInterval(timer));
  });
  return { socket, status: () => status };
}

async function untilCoded(url: string): Promise<void> {
  if (values.coding === 'identity') return;
  for (const giveUpAt = performance.now() + 4_000; performance.now() < giveUpAt; ) {
    const response = await fetch(url, { method: 'HEAD', headers: { 'accept-encoding': values.coding } });
    if (response.headers.get('content-encoding') === values.coding) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function main(posts: number, count: number, seconds: number): Promise<void> {
  execFileSync('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' });
  const stage = await openStage(posts);
  const service = await startService(stage, { MEMORY_TIER_MB: values.memory });
  const url = `http://127.0.0.1:${service.port}/cache/posts`;
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  try {
    let bytes = 0;
    for (let time = 0; time < 3; time += 1) bytes = (await (await fetch(url)).arrayBuffer()).byteLength;
    await pause(1_000);
    const before = residentMb(service.pid);
    const readers: ReturnType<typeof readSlowly>[] = [];
    let most = before;
    let slowest = 0;
    const began = performance.now();
    for (let step = 0; performance.now() - began < seconds * 1_000; step += 1) {
      if (readers.length < count) {
        await untilCoded(url);
        readers.push(readSlowly(service.port));
      }
      const asked = performance.now();
      const body = JSON.stringify({ title: `changed ${step}` });
      const headers = { 'content-type': 'application/json' };
      await fetch(`${url}/${1 + Math.floor(Math.random() * posts)}`, { method: 'PUT', headers, body });
      slowest = Math.max(slowest, performance.now() - asked);
      most = Math.max(most, residentMb(service.pid));
      await pause((seconds * 1_000) / count / 2);
    }
    const statuses = Object.groupBy(
      readers.map(({ status }) => status()),
      (status) => status,
    );
    const told = Object.entries(statuses).map(([status, those]) => `${those?.length} of status ${status}`);
    console.log(
      `list: ${(bytes / 1e6).toFixed(0)} MB of ${posts} posts; ${readers.length} slow readers: ${told.join(', ')}`,
    );
    console.log(
      `resident memory: ${before.toFixed(0)} MB before, ${most.toFixed(0)} MB at most; slowest write ${slowest.toFixed(0)} ms`,
    );
    console.log(`one copy for each would take ${((bytes * readers.length) / 1e6).toFixed(0)} MB`);
    for (const { socket } of readers) socket.destroy();
  } finally {
    await service.stop();
    await stage.close();
  }
}

await main(Number(values.posts), Number(values.readers), Number(values.seconds));
