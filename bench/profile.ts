/**
 * Where the time of a CPU profile goes, by part of the program: `node bench/profile.ts FILE.cpuprofile`. A profile is written
 * by `BENCH_PROFILE=FOLDER npm run bench -- --path hot`.
 */
import { readFileSync } from 'node:fs';

interface Frame {
  readonly functionName: string;
  readonly url: string;
}

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: Frame; readonly children?: readonly number[] }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The first that fits a frame, or else the nearest caller that any fits. */
const parts: readonly (readonly [part: string, fits: (frame: Frame) => boolean])[] = [
  ['idle', ({ functionName }) => functionName === '(idle)'],
  ['the profiler itself', ({ url }) => url.includes('node:inspector') || url.endsWith('stage/profile.ts')],
  ['collecting garbage', ({ functionName }) => functionName === '(garbage collector)'],
  ['writing to clients (system calls)', ({ functionName }) => /^write(v|Buffer|Latin1String)$/.test(functionName)],
  ['writing to Redis (system calls)', ({ functionName }) => functionName === 'writeUtf8String'],
  ['fast lane and answers', ({ url }) => url.includes('/dist/http/') || url.includes('/dist/resources/')],
  ['engine and L1', ({ url }) => url.includes('/dist/cache/') || url.includes('/lru-cache/')],
  ['store, its link and deadlines', ({ url }) => url.includes('/dist/redis/') || url.includes('/dist/deadline')],
  ['ioredis', ({ url }) => url.includes('/ioredis/')],
  ['mysql2', ({ url }) => url.includes('/mysql2/')],
  ['database', ({ url }) => url.includes('/dist/database/')],
  ['fastify', ({ url }) => url.includes('/fastify/') || url.includes('/node_modules/')],
  ['node:http', ({ url }) => url.startsWith('node:_http')],
  ['sockets, streams, timers of Node', ({ url }) => url.startsWith('node:')],
];

const profile: Profile = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
const parents = new Map(profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
const partOfNode = new Map(profile.nodes.map(({ id }) => [id, partOf(id)]));

function partOf(id: number | undefined): string {
  for (let at = id; at !== undefined; at = parents.get(at)) {
    const frame = nodes.get(at)?.callFrame;
    const found = frame && parts.find(([, fits]) => fits(frame));
    if (found !== undefined) return found[0];
  }
  return 'parsing HTTP, reading sockets, the event loop';
}

const times = new Map<string, number>();
for (const [index, id] of profile.samples.entries()) {
  const part = partOfNode.get(id) ?? '';
  times.set(part, (times.get(part) ?? 0) + (profile.timeDeltas[index] ?? 0));
}
times.delete('idle');
times.delete('the profiler itself');
const total = [...times.values()].reduce((sum, each) => sum + each, 0);
for (const [part, time] of [...times].toSorted(([, one], [, other]) => other - one)) {
  console.log(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${part}`);
}
