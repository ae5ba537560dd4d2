import type { Cluster, Instance } from './cluster.ts';
import { memberOf } from './http-client.ts';

/** How long after the end of a fault the last instance was well again, in milliseconds. */
export type Recovery = {
  /** A read and a write are answered 2xx in the usual time, and health says that all is well. */
  readonly servingMs: number;
  /** Reads come from the cache again. */
  readonly cachingMs: number;
};

/** Rejects when an instance is not well after `longestMs`. */
export async function recover(cluster: Cluster, longestMs: number): Promise<Recovery> {
  const began = performance.now();
  const since = (): number => Math.round(performance.now() - began);
  const recoveries = await Promise.all(
    cluster.instances.map(async (instance) => {
      await until(instance, isServing, began + longestMs);
      const servingMs = since();
      await until(instance, isCaching, began + longestMs);
      return { servingMs, cachingMs: since() };
    }),
  );
  return {
    servingMs: Math.max(...recoveries.map(({ servingMs }) => servingMs)),
    cachingMs: Math.max(...recoveries.map(({ cachingMs }) => cachingMs)),
  };
}

const retryMs = 25;
const usualReadMs = 500;
const usualWriteMs = 1_000;

async function until(instance: Instance, condition: Condition, giveUpAt: number): Promise<void> {
  for (;;) {
    const lacks = await condition(instance);
    if (lacks === undefined) return;
    if (performance.now() > giveUpAt) throw new Error(`${instance.name} did not recover: ${lacks}`);
    await new Promise((resolve) => setTimeout(resolve, retryMs));
  }
}

/** Resolves with what is not as it should be. */
type Condition = (instance: Instance) => Promise<string | undefined>;

let writes = 0;

async function isServing({ http, probeRow }: Instance): Promise<string | undefined> {
  const path = `/cache/posts/${probeRow}`;
  writes += 1;
  const health = await http.send('GET', '/cache/health', undefined, usualWriteMs);
  if (health.kind === 'lost' || health.status !== 200) return `health: ${JSON.stringify(health)}`;
  const read = await http.send('GET', path, undefined, usualReadMs);
  if (read.kind === 'lost' || read.status !== 200) return `read: ${JSON.stringify(read)}`;
  const write = await http.send('PUT', path, { title: `probe ${writes}` }, usualWriteMs);
  return write.kind === 'lost' || write.status !== 200 ? `write: ${JSON.stringify(write)}` : undefined;
}

async function isCaching({ http, probeRow }: Instance): Promise<string | undefined> {
  const read = await http.send('GET', `/cache/posts/${probeRow}`, undefined, usualReadMs);
  const isHit = read.kind === 'answered' && memberOf(read.json, 'source') === 'cache';
  return isHit ? undefined : `reads come from the database: ${JSON.stringify(read)}`;
}
