import { commitFaults } from './commit-faults.ts';
import type { ClusterPlan } from './cluster.ts';
import type { Fault } from './fault.ts';
import { linkFaults } from './link-faults.ts';
import { serverFaults } from './server-faults.ts';

export const faults: readonly Fault[] = [...commitFaults, ...linkFaults, ...serverFaults];

/** With `accept` a write while Redis is out of reach for some only is the stated exception: nothing to be shown there. */
export function faultsFor({ redis, writes }: ClusterPlan): Fault[] {
  return faults.filter(
    (fault) =>
      (fault.redis === redis || fault.redis === 'any') &&
      (writes === 'reject' || (fault.losesRedis && !fault.isAsymmetric)),
  );
}
