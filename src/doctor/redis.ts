import type { RedisAddress } from '../config.ts';
import { describeError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { Lookout, type Sight } from '../redis/lookout.ts';
import { slotCount } from '../redis/slots.ts';
import { fail, type Finding, ok, withText } from './finding.ts';
import { adviceOn } from './redis-connection.ts';
import { examineServer } from './redis-server.ts';
import { examineSentinels } from './redis-sentinels.ts';

/** What the Redis of the settings tells, each of its masters. */
export async function examineRedis(
  address: RedisAddress,
  settings: Settings,
  now: () => number,
): Promise<RedisExamination> {
  const options = { connectTimeoutMs: settings.REDIS_CONNECT_TIMEOUT_MS, timeoutMs: settings.REDIS_BULK_TIMEOUT_MS };
  const lookout = new Lookout(address, options);
  try {
    const sentinels = address.kind === 'sentinel' ? await examineSentinels(address, options) : [];
    const names = await lookout.names();
    const cluster = address.kind === 'cluster' ? await examineSlots(lookout, names) : [];
    const seen = await Promise.all(names.map((name) => examineOne(lookout, name, { address, settings, now })));
    const runs = seen.map(({ run }) => run);
    return {
      findings: [...sentinels, ...cluster, ...together(seen.map(({ findings }) => findings))],
      run: runs.length === 1 ? runs[0] : undefined,
    };
  } catch (error) {
    return { findings: [fail('redis.connect', adviceOn(describeError(error), address, ''))], run: undefined };
  } finally {
    lookout.close();
  }
}

export interface RedisExamination {
  readonly findings: readonly Finding[];
  /** Which run of which Redis it is, where there is one that is claimed. */
  readonly run: string | undefined;
}

interface Circumstances {
  readonly address: RedisAddress;
  readonly settings: Settings;
  readonly now: () => number;
}

async function examineOne(
  lookout: Lookout,
  name: string,
  circumstances: Circumstances,
): Promise<{ findings: Finding[]; run: string | undefined }> {
  let sight: Sight;
  try {
    sight = await lookout.see(name);
  } catch (error) {
    return {
      findings: [fail('redis.connect', adviceOn(describeError(error), circumstances.address, name))],
      run: undefined,
    };
  }
  try {
    const findings = await examineServer(sight, { ...circumstances, name });
    return { findings, run: circumstances.address.kind === 'cluster' ? undefined : sight.runId };
  } catch (error) {
    const trouble = {
      finding: `it stopped answering: ${describeError(error)}`,
      meaning: 'The service goes to the database while Redis is silent.',
      remedy: 'npx energex-cache doctor   # once more; then look at the log of Redis',
    };
    return { findings: [fail('redis.answers', trouble)], run: undefined };
  }
}

/** What is the same everywhere is told once. */
function together(all: readonly (readonly Finding[])[]): Finding[] {
  if (all.length === 1) return [...(all[0] ?? [])];
  const byId = Map.groupBy(all.flat(), ({ id }) => id);
  return [...byId.values()].flatMap((findings) => {
    const [first] = findings;
    if (first === undefined || findings.some(({ severity }) => severity !== 'ok')) return findings;
    return [withText(first, `${first.finding}; so are all ${findings.length} masters`)];
  });
}

async function examineSlots(lookout: Lookout, names: readonly string[]): Promise<Finding[]> {
  const ranges = await lookout.slots();
  const covered = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  if (covered === slotCount) return [ok('redis.slots', `all ${slotCount} slots are on ${names.length} masters`)];
  const at = names[0] ?? '';
  return [
    fail('redis.slots', {
      finding: `${slotCount - covered} of ${slotCount} slots have no master`,
      meaning: 'Keys of these slots are not cached, and a cluster refuses all others too unless it is told not to.',
      remedy: `redis-cli --cluster fix ${at}`,
    }),
  ];
}
