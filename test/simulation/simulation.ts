import { type CacheEvent, cacheChannel } from '../../src/cache/channels.ts';
import { keys } from './data.ts';
import { limits } from './scenario.ts';
import { nameOf, Workload } from './workload.ts';
import { type SimulationOptions, World } from './world.ts';

/** Plays one run, in which everything follows from the seed. Resolves with counts; rejects with a `Violation`. */
export async function simulate(
  seed: number,
  options: SimulationOptions = {},
): Promise<Readonly<Record<string, number>>> {
  const world = new World(seed, options);
  const workload = new Workload(world);
  const heard = (event: unknown): void => hear(world, event as CacheEvent);
  cacheChannel.subscribe(heard);
  // In the service this would end the process.
  const unhandled = (reason: unknown): void => world.fail(`nobody handles ${String(reason)}`);
  process.on('unhandledRejection', unhandled);
  try {
    world.log(() => JSON.stringify(world.scenario));
    // Without faults all are connected before the first request; else the start is a time of trouble like any other.
    await world.play(world.scenario.faults.length === 0 ? 500 : world.random.between(0, 30));
    const last = workload.schedule();
    world.scheduleFaults(last);
    await world.play(last - world.timeline.now);
    if (world.scenario.faults.length === 0 && world.scenario.deadlocks === 0) checkLoads(world);
    world.endFaults();
    await recover(world, workload);
    await rejectionsTold();
    await world.play(0);
  } finally {
    cacheChannel.unsubscribe(heard);
    // Whatever is under way ends here.
    for (const instance of world.instances) instance.kill();
    await rejectionsTold();
    process.off('unhandledRejection', unhandled);
  }
  return { ...world.tally.counts, seeds: 1, events: world.timeline.events };
}

/** Node tells of rejections once it has nothing else to do. */
async function rejectionsTold(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** An audit that finds a difference has found a stale entry, unless that is allowed. */
function hear(world: World, event: CacheEvent): void {
  world.tally.count(`engine: ${event.type}`);
  if (event.type === 'fill') world.tally.load(event.key);
  // One load more is in order.
  if (event.type === 'refresh') world.tally.deletion(nameOf(event.key));
  if (event.type !== 'audit' || !event.differs) return;
  const { withoutStore, outsideWrites, faults } = world.scenario;
  const allowed =
    withoutStore === 'accept' || outsideWrites || faults.includes('database failover') || faults.includes('redis left');
  if (!allowed) world.fail(`the audit found that ${event.key} differs`);
}

/** One load per key and invalidation, where nothing gets lost and no lease runs out. */
function checkLoads(world: World): void {
  const { tally, ttlMs } = world;
  const { leaseMs, redisDelayMs } = world.scenario;
  if (ttlMs < 60_000 || leaseMs < 1_000 || redisDelayMs > 0.2) return;
  for (const key of keys) {
    const most = 1 + tally.deletions(nameOf(key));
    if (tally.loads(key) > most)
      world.fail(`${key} was loaded ${tally.loads(key)} times, with ${most - 1} invalidations`);
  }
}

/**
 * Once nothing goes wrong any more, everything must be well again within bounds: no request hangs, every instance serves
 * hits, with one load per key for all of them, and the outbox is empty.
 */
async function recover(world: World, workload: Workload): Promise<void> {
  await world.play(Math.max(limits.longestDownMs + limits.longestHoldMs, world.blurredForMs));
  const deadline = world.timeline.now + longestRecoveryMs;
  for (;;) {
    workload.tellAgain();
    const missing = await missingOf(world, workload);
    if (missing === undefined) break;
    if (world.timeline.now > deadline) {
      world.fail(`no recovery within ${longestRecoveryMs} ms: ${missing}`);
      await world.play(0);
    }
  }
}

/** A round of reads on all instances. What is not well yet; `undefined` when all is. */
async function missingOf(world: World, workload: Workload): Promise<string | undefined> {
  const answers: string[] = [];
  const settled = world.claimSettled && world.instances.every(({ store }) => store.downReason === undefined);
  world.tally.forgetLoads();
  for (const instance of world.instances) {
    for (const key of keys) workload.read(instance, key, (kind) => answers.push(kind));
  }
  await world.play(roundMs);
  if (settled) checkLoads(world);
  const distrustful = world.instances.find(({ store }) => store.downReason !== undefined);
  if (distrustful !== undefined) return `${distrustful.host.name}: ${distrustful.store.downReason}`;
  const hanging = world.instances.find(({ pending }) => pending > 0);
  if (hanging !== undefined) return `requests are under way on ${hanging.host.name}`;
  if (answers.length < world.instances.length * keys.length) return 'requests have failed';
  const other = answers.find((kind) => kind !== 'hit');
  if (other !== undefined) return `an answer was not a hit but ${other}`;
  if (world.database.server.committed.outbox.size > 0) return 'the outbox is not empty';
  return world.oracle.openGraces.length === 0 ? undefined : `${world.oracle.openGraces.join()} may be stale`;
}

const roundMs = 300;
/** A fence that nobody takes away, a lease, a sweep, and the rests between the attempts at each. */
const longestRecoveryMs = limits.fenceMs + 6_000;
