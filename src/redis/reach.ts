import { Cluster } from 'ioredis';
import type { RedisAddress } from '../config.ts';
import { connector, disconnectTimeoutMs, type RedisServerOptions } from './connection.ts';
import type { ClusterOptions } from './cluster.ts';
import type { OpenLink, Subscribe } from './link.ts';
import { subscriber, toldByOthers } from './subscription.ts';

/** How the Redis of the configuration is reached: one server, the master that Sentinels tell of, or a cluster. */
export function reachRedis(
  address: RedisAddress,
  connectTimeoutMs: number,
): { readonly reach: Reach; readonly subscribe: Subscribe } {
  const { prefix = '' } = address;
  if (address.kind !== 'cluster') {
    const server = serverOf(address);
    return {
      reach: { kind: 'one', prefix, openLink: connector({ server, connectTimeoutMs }) },
      subscribe: subscriber({ server, connectTimeoutMs }),
    };
  }
  const { kind: _kind, prefix: _prefix, nodes, ...access } = address;
  const openNode = (name: string): ReturnType<typeof connector> => {
    const at = name.lastIndexOf(':');
    const server = { host: name.slice(0, at), port: Number(name.slice(at + 1)), ...access };
    return connector({ server, connectTimeoutMs });
  };
  const redisOptions = { ...access, disconnectTimeout: disconnectTimeoutMs, disableClientInfo: true };
  return {
    reach: { kind: 'cluster', prefix, nodes, openNode },
    subscribe: (channel, heard) =>
      subscribeInCluster(new Cluster([...nodes], { redisOptions, lazyConnect: true }), channel, heard),
  };
}

function serverOf(address: Exclude<RedisAddress, { kind: 'cluster' }>): RedisServerOptions {
  if (address.kind === 'single') {
    const { kind: _kind, prefix: _prefix, ...server } = address;
    return server;
  }
  const { kind: _kind, prefix: _prefix, sentinels, sentinelTls, ...server } = address;
  return { ...server, sentinels: [...sentinels], ...(sentinelTls === undefined ? {} : { sentinelTLS: sentinelTls }) };
}

/** A message is heard on every node, so any will do; the client takes another when it loses one. */
function subscribeInCluster(cluster: Cluster, channel: string, heard: (text: string) => void): () => void {
  cluster.on('error', toldByOthers);
  cluster.on('message', (_channel: string, text: string) => heard(text));
  cluster.subscribe(channel).catch(toldByOthers);
  return () => cluster.disconnect();
}

/** How the server or the servers are reached, and what all keys there begin with. */
export type Reach =
  | { readonly kind: 'one'; readonly prefix?: string; readonly openLink: OpenLink }
  | ({ readonly kind: 'cluster' } & Pick<ClusterOptions, 'prefix' | 'nodes' | 'openNode'>);
