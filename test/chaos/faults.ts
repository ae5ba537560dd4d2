import { commitFaults } from './commit-faults.ts';
import type { ClusterPlan } from './cluster.ts';
import type { Fault } from './fault.ts';
import { linkFaults } from './link-faults.ts';
import { nodeFaults } from './node-faults.ts';
import { serverFaults } from './server-faults.ts';

export const faults: readonly Fault[] = [...commitFaults, ...linkFaults, ...serverFaults, ...nodeFaults];

/** With `accept` a write while Redis is out of reach for some only is the stated exception: nothing to be shown there. */
export function faultsFor({ redis, writes }: ClusterPlan): Fault[] {
  const isFor = (fault: Fault): boolean =>
    fault.redis === redis || fault.redis === 'any' || (fault.redis === 'one server' && redis !== 'cluster');
  return faults.filter((fault) => isFor(fault) && (writes === 'reject' || (fault.losesRedis && !fault.isAsymmetric)));
}
