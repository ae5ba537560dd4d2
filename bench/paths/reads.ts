import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Load, measurePeak } from '../load/wrk.ts';
import { type Candidate, type Rounds, runRounds } from '../rounds.ts';
import type { PinnedProcess } from '../stage/pinned-process.ts';
import {
  beginProfile,
  hasNginx,
  peers,
  startNginx,
  startPeer,
  startRaw,
  startService,
  startUncounted,
} from '../stage/servers.ts';
import type { Stage } from '../stage/stage.ts';
import { type Options, type Path, service, type Target } from './path.ts';

/** Reads under as much load as is answered, each beside a raw `node:http` server that answers the same body. */
interface Read {
  readonly name: string;
  readonly title: string;
  readonly paths: (posts: number) => readonly string[];
  readonly connections: number;
  readonly targets: readonly Target[];
  readonly settings?: Readonly<Record<string, string>>;
  readonly order?: Load['order'];
  /** With the entity tag, so that the answer is 304; beside the full answer of a small post. */
  readonly conditional?: true;
  /** In each content coding too, from the same server. */
  readonly isCoded?: true;
  /** Beside the same service without metrics, to which it is put into relation. */
  readonly isCounted?: true;
  readonly alone?: true;
}

export const items = (posts: number): string[] =>
  Array.from({ length: posts }, (_, index) => `/cache/posts/${index + 1}`);
const withoutMemory = { MEMORY_TIER_MB: '1' };

function atLeast(least: number, to = 'raw'): Target {
  return { candidate: service, to, figure: 'rate', least };
}

const codings = ['br', 'gzip'];
/** What is compressed costs not more than what is sent as it is. */
const asFastAs = (coding: string): Target => ({
  candidate: `${service} ${coding}`,
  to: service,
  figure: 'rate',
  least: 1,
});
const uncounted = 'without metrics';
const ahead = peers.filter((peer) => peer !== 'express').map((peer) => atLeast(1, peer));
/** Of the processor time per request. */
const countedFor = (most: number): Target => ({ candidate: service, to: uncounted, figure: 'cpu', most });
const redisCpu = (most: number): Target => ({ candidate: service, figure: 'redisCpu', most });

const reads: readonly Read[] = [
  {
    name: 'hot',
    title: 'hot post, L1 validated',
    paths: () => ['/cache/posts/1'],
    connections: 64,
    targets: [atLeast(0.9), redisCpu(2), atLeast(6, 'express'), ...ahead],
  },
  {
    name: 'uniform',
    title: '10,000 posts uniformly, L1 validated',
    paths: items,
    connections: 64,
    targets: [atLeast(0.75), redisCpu(4), atLeast(6, 'express'), ...ahead],
  },
  {
    name: 'list-40k',
    title: 'list of 100 posts, L1 validated',
    paths: () => ['/cache/posts?limit=100'],
    connections: 64,
    targets: [atLeast(0.85), atLeast(10, 'express'), ...ahead],
  },
  {
    name: 'list-4m',
    title: 'list of 10,000 posts, L1 validated',
    paths: () => ['/cache/posts'],
    connections: 8,
    targets: [atLeast(0.9), atLeast(1.2, 'nginx'), atLeast(20, 'express'), ...ahead],
  },
  {
    name: 'redis-small',
    title: 'small post from Redis, no L1 entry',
    paths: items,
    connections: 64,
    settings: withoutMemory,
    order: 'in-turn',
    targets: [atLeast(0.55)],
    alone: true,
  },
  {
    name: 'redis-40k',
    title: 'list of 100 posts from Redis',
    // A page that another limit cuts is another entry: a hundred of them do not fit into L1.
    paths: () => Array.from({ length: 40 }, (_, index) => `/cache/posts?limit=${100 - index}`),
    connections: 64,
    settings: withoutMemory,
    order: 'in-turn',
    targets: [atLeast(0.35)],
    alone: true,
  },
  {
    name: 'redis-4m',
    title: 'list of 10,000 posts from Redis',
    paths: () => ['/cache/posts'],
    connections: 8,
    settings: withoutMemory,
    targets: [atLeast(0.2)],
    alone: true,
  },
  {
    name: 'not-modified',
    title: 'hot post, answered 304',
    paths: () => ['/cache/posts/1'],
    connections: 64,
    conditional: true,
    targets: [atLeast(1, `${service} 200`)],
    alone: true,
  },
  {
    name: 'not-modified-4m',
    title: 'list of 10,000 posts, answered 304',
    paths: () => ['/cache/posts'],
    connections: 64,
    conditional: true,
    targets: [atLeast(1, `${service} 200`)],
    alone: true,
  },
  {
    name: 'coded-5k',
    title: 'list of 10 posts, L1 validated, compressed',
    paths: () => ['/cache/posts?limit=10'],
    connections: 64,
    isCoded: true,
    targets: codings.map((coding) => asFastAs(coding)),
    alone: true,
  },
  {
    name: 'coded-40k',
    title: 'list of 100 posts, L1 validated, compressed',
    paths: () => ['/cache/posts?limit=100'],
    connections: 64,
    isCoded: true,
    targets: codings.map((coding) => asFastAs(coding)),
    alone: true,
  },
  {
    name: 'coded-4m',
    title: 'list of 10,000 posts, L1 validated, compressed',
    paths: () => ['/cache/posts'],
    connections: 8,
    isCoded: true,
    targets: codings.map((coding) => asFastAs(coding)),
    alone: true,
  },
  {
    name: 'metrics-hot',
    title: 'what metrics cost a hot post',
    paths: () => ['/cache/posts/1'],
    connections: 64,
    isCounted: true,
    targets: [countedFor(1.03)],
    alone: true,
  },
  {
    name: 'metrics-uniform',
    title: 'what metrics cost 10,000 posts uniformly',
    paths: items,
    connections: 64,
    isCounted: true,
    targets: [countedFor(1.03)],
    alone: true,
  },
];

export const readPaths: readonly Path[] = reads.map((read) => ({
  name: read.name,
  title: read.title,
  base: read.isCounted === true ? uncounted : 'raw',
  figure: 'rate',
  targets: read.targets,
  run: (stage, options) => runRead(stage, read, options),
}));

async function runRead(stage: Stage, read: Read, options: Options): Promise<Rounds> {
  const servers = await openServers(stage, options.checkouts, read.settings);
  if (read.isCounted === true) servers.set(uncounted, await startUncounted(stage));
  try {
    const first = [...servers.values()][0];
    if (first === undefined) throw new Error('no checkout is given');
    const paths = read.paths(stage.posts);
    const probe = await settle(stage, servers, paths);
    const raw = servers.get('raw') ?? first;
    if (options.withPeers && read.alone !== true) {
      if (hasNginx) servers.set('nginx', await startNginx(stage, raw));
      for (const peer of peers) servers.set(peer, await startPeer(stage, peer));
      for (const { port } of servers.values()) await warm(port, paths);
    }
    const load = loadOf(stage, read, paths);
    const headers = read.conditional === true ? { 'If-None-Match': probe.etag } : {};
    const candidates: Candidate[] = [...servers].map(([name, server]) => ({
      name,
      measure: () => measure(stage, server, { ...load, headers: name === 'raw' ? {} : headers }, options.seconds),
    }));
    if (read.conditional === true) candidates.push(await fullAnswer(stage, first, load, options));
    if (read.isCoded === true) {
      for (const coding of codings) candidates.push(await codedAnswer(stage, first, load, coding, options));
    }
    beginProfile(servers.values());
    return await runRounds(candidates, options.rounds);
  } finally {
    for (const server of servers.values()) await server.stop();
  }
}

/** The service of each checkout. */
export async function openServers(
  stage: Stage,
  checkouts: Options['checkouts'],
  settings?: Read['settings'],
): Promise<Map<string, PinnedProcess>> {
  const servers = new Map<string, PinnedProcess>();
  for (const [name, checkout] of checkouts) servers.set(name, await startService(stage, settings, checkout));
  return servers;
}

/** Until hits are answered, all paths are warm, and a raw server with the same body stands beside the services. */
export async function settle(
  stage: Stage,
  servers: Map<string, PinnedProcess>,
  paths: readonly string[],
): Promise<{ etag: string }> {
  for (const { port } of servers.values()) await settled(port);
  // What the first asking has loaded is in L1 by the second, and what is made of it once is made.
  for (const { port } of servers.values()) for (let time = 0; time < 3; time += 1) await warm(port, paths);
  const [first] = servers.values();
  const probe = await fetch(`http://127.0.0.1:${first?.port}${paths[0]}`);
  servers.set('raw', await startRaw(stage, Buffer.from(await probe.arrayBuffer())));
  return { etag: probe.headers.get('etag') ?? '' };
}

function loadOf(stage: Stage, { name, connections, order = 'random' }: Read, paths: readonly string[]): Load {
  const pathsFile = join(stage.folder, `${name}.txt`);
  writeFileSync(pathsFile, `${paths.join('\n')}\n`);
  return { connections, pathsFile, order };
}

/** What a conditional read is compared with: the hot post in full. */
async function fullAnswer(stage: Stage, server: PinnedProcess, load: Load, options: Options): Promise<Candidate> {
  const pathsFile = join(stage.folder, 'full.txt');
  writeFileSync(pathsFile, '/cache/posts/1\n');
  await warm(server.port, ['/cache/posts/1']);
  return {
    name: `${service} 200`,
    measure: () => measure(stage, server, { ...load, pathsFile }, options.seconds),
  };
}

/** The same in a content coding, once it is there. */
async function codedAnswer(
  stage: Stage,
  server: PinnedProcess,
  load: Load,
  coding: string,
  { seconds }: Options,
): Promise<Candidate> {
  const headers = { 'Accept-Encoding': coding };
  const url = `http://127.0.0.1:${server.port}${readFileSync(load.pathsFile, 'utf8').trim()}`;
  for (let attempt = 0; ; attempt += 1) {
    const response = await fetch(url, { headers });
    await response.arrayBuffer();
    if (response.headers.get('content-encoding') === coding) break;
    if (attempt === 200) throw new Error(`nothing comes in ${coding}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { name: `${service} ${coding}`, measure: () => measure(stage, server, { ...load, headers }, seconds) };
}

async function measure(stage: Stage, server: PinnedProcess, load: Load, seconds: number) {
  const [cpu, before] = [server.cpuMicros(), await stage.redisWork()];
  const { requests, perSecond, bytes } = await measurePeak(server.port, load, seconds);
  const after = await stage.redisWork();
  return {
    rate: perSecond,
    bytes,
    cpu: (server.cpuMicros() - cpu) / requests,
    redisCpu: (after.cpuMicros - before.cpuMicros) / requests,
    // Commands that Redis reads at once: how well they are batched.
    together: (after.commands - before.commands) / (after.reads - before.reads),
  };
}

export async function warm(port: number, paths: readonly string[]): Promise<void> {
  for (let at = 0; at < paths.length; at += 50) {
    await Promise.all(
      paths.slice(at, at + 50).map(async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).arrayBuffer()),
    );
  }
}

/** Until hits are answered: the store is in use, and what was lost with an older one is settled. */
async function settled(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const response = await fetch(`http://127.0.0.1:${port}/cache/posts/1`);
    await response.arrayBuffer();
    if (response.headers.get('cache-status')?.includes('hit') === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the service does not come to answer hits');
}
