import { afterAll } from '@jest/globals';
import { chooseTopology, type Topology } from '../../harness/redis-under-test.ts';

/** The tests of the whole API and of live events once more, on a Redis that is more than one server. */
export async function runWholeApi(topology: Topology & { stop(): Promise<void> }): Promise<void> {
  afterAll(topology.stop);
  chooseTopology(topology);
  await import('../../http/reads.test.ts');
  await import('../../http/pages.test.ts');
  await import('../../http/create.test.ts');
  await import('../../http/update-and-delete.test.ts');
  await import('../../http/conditional.test.ts');
  await import('../../http/idempotency.test.ts');
  await import('../../http/own-resource.test.ts');
  await import('../../realtime/live-events.test.ts');
}
