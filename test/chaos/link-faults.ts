import type { TcpProxy } from '../harness/tcp-proxy.ts';
import type { Cluster, Instance } from './cluster.ts';
import type { Fault } from './fault.ts';

/** Links that are cut, slow, silent or reset: those of one instance, or of all at the same time. */
type Way = { readonly name: string; readonly lastsMs: number; spoil(link: TcpProxy): Promise<void> };

const ways: readonly Way[] = [
  { name: 'cut', lastsMs: 1_000, spoil: (link) => link.refuse() },
  { name: 'reset', lastsMs: 100, spoil: async (link) => link.reset() },
  { name: 'black hole', lastsMs: 2_000, spoil: async (link) => link.blackHole() },
  // Beyond the deadline of a Redis command, so that answers come to questions that nobody asks any more.
  { name: 'delay beyond deadlines', lastsMs: 1_500, spoil: async (link) => link.delay(400) },
  { name: 'delay', lastsMs: 1_000, spoil: async (link) => link.delay(40) },
];

type Target = 'Redis' | 'database';

function linkOf(instance: Instance, target: Target): TcpProxy {
  const link = target === 'Redis' ? instance.toRedis : instance.toDatabase;
  if (link === undefined) throw new Error(`${instance.name} has no proxy to ${target}`);
  return link;
}

function fault(way: Way, target: Target, of: 'one' | 'all'): Fault {
  return {
    name: `${way.name}: ${of === 'one' ? 'the link of one instance' : 'all links'} to ${target}`,
    lastsMs: way.lastsMs,
    losesRedis: target === 'Redis',
    isAsymmetric: of === 'one',
    redis: target === 'Redis' ? 'single' : 'any',
    async begin(cluster: Cluster, chance) {
      const chosen = of === 'one' ? [chance.pick(cluster.instances)] : cluster.instances;
      const links = chosen.map((instance) => linkOf(instance, target));
      await Promise.all(links.map((link) => way.spoil(link)));
      return async () => {
        await Promise.all(links.map((link) => link.restore()));
      };
    },
  };
}

export const linkFaults: readonly Fault[] = ways.flatMap((way) => [
  fault(way, 'Redis', 'one'),
  fault(way, 'Redis', 'all'),
  fault(way, 'database', 'one'),
  fault(way, 'database', 'all'),
]);
