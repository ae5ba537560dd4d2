import type { Cluster, Instance } from './cluster.ts';
import type { HeldCommit } from './commit-gate.ts';
import { type Fault, type QuietWriter, quietPrefix } from './fault.ts';
import { restartFromSnapshot, saveSnapshot } from './server-faults.ts';

/** What happens between fence and COMMIT, and between COMMIT and release, of a write to a quiet row. */

/** Long enough for some writes to come. */
const waitMs = 8_000;

async function hold(writer: QuietWriter, instance: Instance, what: 'request' | 'answer'): Promise<HeldCommit> {
  const state = { isHeld: false };
  const tooLate = setTimeout(() => instance.gate.letGo(), waitMs);
  const write = async (): Promise<void> => {
    // The first one may be refused: the database is busy for a moment.
    while (!state.isHeld) await writer.writeQuietly(instance);
  };
  try {
    const held = instance.gate.hold(what, quietPrefix);
    write().catch(() => undefined);
    return await held;
  } finally {
    state.isHeld = true;
    clearTimeout(tooLate);
  }
}

type Meanwhile = (cluster: Cluster) => Promise<void>;
const nothing: Meanwhile = async () => undefined;
const flush: Meanwhile = async (cluster) => {
  await cluster.askRedis('FLUSHALL');
};
/** Two times: what is lost once may be lost again before the barrier has been passed. */
const flushTwice: Meanwhile = async (cluster) => {
  await flush(cluster);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await flush(cluster);
};

const base = { losesRedis: false, isAsymmetric: false, redis: 'any', lastsMs: 800 } as const;

/** The writer is dead before its COMMIT reaches the database, which it does later, or never. */
function killBeforeCommit(fate: 'arrives later' | 'never arrives', also = '', meanwhile = nothing): Fault {
  return {
    ...base,
    name: `kill -9 between fence and commit, COMMIT ${fate}${also}`,
    async begin(cluster, chance, writer) {
      const instance = chance.pick(cluster.instances);
      const held = await hold(writer, instance, 'request');
      await instance.kill();
      await meanwhile(cluster);
      return async () => {
        if (fate === 'arrives later') await held.deliver();
        else held.drop();
        await instance.start();
      };
    },
  };
}

/** The database has committed; the writer never hears of it. */
function killBeforeRelease(also = '', meanwhile = nothing): Fault {
  return {
    ...base,
    name: `kill -9 between commit and release${also}`,
    async begin(cluster, chance, writer) {
      const instance = chance.pick(cluster.instances);
      const held = await hold(writer, instance, 'answer');
      await instance.kill();
      await meanwhile(cluster);
      return async () => {
        held.drop();
        await instance.start();
      };
    },
  };
}

/** The writer lives, and its COMMIT is on its way for so long. */
function slowCommit(name: string, lastsMs: number, meanwhile = nothing): Fault {
  return {
    ...base,
    name,
    lastsMs,
    async begin(cluster, chance, writer) {
      const held = await hold(writer, chance.pick(cluster.instances), 'request');
      await meanwhile(cluster);
      return () => held.deliver();
    },
  };
}

/** The snapshot is of a time before the fence. */
const oldSnapshot: Fault = {
  ...base,
  name: 'kill -9 between fence and commit, COMMIT arrives later; meanwhile Redis restarts with an old snapshot',
  losesRedis: true,
  redis: 'single',
  lastsMs: 600,
  async begin(cluster, chance, writer) {
    const instance = chance.pick(cluster.instances);
    await saveSnapshot(cluster);
    const held = await hold(writer, instance, 'request');
    await instance.kill();
    await restartFromSnapshot(cluster);
    return async () => {
      await held.deliver();
      await instance.start();
    };
  },
};

/** Longer than `DB_COMMIT_TIMEOUT_MS`, shorter than `FENCE_MS`. */
const overdueMs = 3_000;

export const commitFaults: readonly Fault[] = [
  killBeforeCommit('never arrives'),
  killBeforeCommit('arrives later'),
  killBeforeCommit('arrives later', '; FLUSHALL meanwhile', flush),
  killBeforeCommit('arrives later', '; FLUSHALL twice meanwhile', flushTwice),
  killBeforeRelease(),
  killBeforeRelease('; FLUSHALL meanwhile', flush),
  slowCommit('a COMMIT that takes a second; FLUSHALL meanwhile', 1_000, flush),
  slowCommit('a COMMIT that arrives after its deadline', overdueMs),
  slowCommit('a COMMIT that arrives after its deadline; FLUSHALL meanwhile', overdueMs, flush),
  oldSnapshot,
];
