import type { RedisAddress } from '../config.ts';
import type { Settings } from '../options.ts';
import { describeError } from '../errors.ts';
import type { Sight } from '../redis/lookout.ts';
import { asArray, asText } from '../redis/replies.ts';
import { checks, missingRights, type Realm, rightsOf, rightsScript } from '../redis/rights.ts';
import { resources } from '../resources/registry.ts';
import { examineSkew } from './clock-skew.ts';
import { fail, type Finding, ok, warn, withText } from './finding.ts';
import { cliFor } from './redis-connection.ts';

/** What one Redis server tells of itself. Rejects with `StoreUnavailable` when it stops answering. */
export async function examineServer(
  sight: Sight,
  { address, name, settings, now }: { address: RedisAddress; name: string; settings: Settings; now: () => number },
): Promise<Finding[]> {
  const info = await readInfo(sight);
  const own = name === '' && address.kind === 'sentinel' ? await addressOf(sight) : name;
  const cli = cliFor(address, own);
  const where = own === '' ? '' : `${own}: `;
  // It knows hardly any command of what follows.
  if (modeOf(info) === 'sentinel') return [examineRole(info, address, cli)];
  const findings = [
    ok('redis.connect', `Redis answers${own === '' ? '' : ` at ${own}`}`),
    examineVersion(info),
    examineRole(info, address, cli),
    examineMaxmemory(info, cli),
    examinePolicy(info, cli),
    ...(await examinePersistence(sight, info, cli)),
    ...(await examineReplicas(sight, info, cli)),
    ...(await examineRights(sight, address)),
    await examineLatency(sight, settings),
    await examineTime(sight, now),
  ];
  return findings.map((each) => withText(each, `${where}${each.finding}`));
}

type Info = ReadonlyMap<string, string>;

async function readInfo(sight: Sight): Promise<Info> {
  const text = asText(await sight.ask(['INFO']));
  return new Map(Array.from(text.matchAll(/^(\w+):(.*?)\r?$/gm), ([, name = '', value = '']) => [name, value]));
}

/** Valkey has another name for it. */
function modeOf(info: Info): string | undefined {
  return info.get('redis_mode') ?? info.get('server_mode');
}

/** What the master calls the end of this connection: its own address. */
async function addressOf(sight: Sight): Promise<string> {
  const reply = await sight.ask(['CLIENT', 'INFO']).catch(() => null);
  return Buffer.isBuffer(reply) ? (/ laddr=(\S+)/.exec(reply.toString())?.[1] ?? '') : '';
}

const oldestMajor = 7;

function examineVersion(info: Info): Finding {
  const id = 'redis.version';
  const version = info.get('redis_version') ?? 'unknown';
  // Valkey also tells of the Redis that it was made from.
  const valkey = info.get('valkey_version');
  if (valkey !== undefined) return ok(id, `Valkey ${valkey}`);
  if (Number.parseInt(version, 10) >= oldestMajor) return ok(id, `Redis ${version}`);
  return warn(id, {
    finding: `Redis ${version}; the tests run on ${oldestMajor}.0 and newer`,
    meaning: 'It may work. Nobody has looked.',
    remedy: 'redis-server --version   # on its machine; then an upgrade, as its supplier says',
  });
}

function examineRole(info: Info, address: RedisAddress, cli: string): Finding {
  const id = 'redis.role';
  if (modeOf(info) === 'sentinel') {
    return fail(id, {
      finding: 'it is a Sentinel, which holds no keys',
      meaning: 'Nothing is cached.',
      remedy: 'REDIS_SENTINELS=host:port,... REDIS_SENTINEL_NAME=...   # instead of REDIS_HOST',
    });
  }
  if (modeOf(info) === 'cluster' && address.kind !== 'cluster') {
    return fail(id, {
      finding: 'it is a node of a cluster, and the settings name it as a single server',
      meaning: 'Keys of other nodes are refused, so hardly anything is cached.',
      remedy: 'REDIS_CLUSTER_NODES=host:port,...   # instead of REDIS_HOST',
    });
  }
  if (info.get('role') === 'master') return ok(id, 'it is a master');
  return fail(id, {
    finding: `it is a replica of ${info.get('master_host') ?? 'another'}:${info.get('master_port') ?? ''}`,
    meaning: 'The service does not use a replica: what it answers may be old.',
    remedy: `${cli} REPLICAOF NO ONE   # or REDIS_HOST of its master, or REDIS_SENTINELS`,
  });
}

const bytesPerMb = 1024 * 1024;

function examineMaxmemory(info: Info, cli: string): Finding {
  const id = 'redis.maxmemory';
  const bytes = Number(info.get('maxmemory') ?? 0);
  if (bytes > 0) return ok(id, `maxmemory is ${Math.round(bytes / bytesPerMb)} MiB`);
  const half = Math.max(64, Math.floor(Number(info.get('total_system_memory') ?? 0) / 2 / bytesPerMb));
  return warn(id, {
    finding: 'maxmemory is 0, no limit',
    meaning: 'Redis takes memory until the system kills it, and the whole cache is gone at once.',
    remedy: `${cli} CONFIG SET maxmemory ${half}mb   # then CONFIG REWRITE, so that it stays`,
  });
}

function examinePolicy(info: Info, cli: string): Finding {
  const id = 'redis.maxmemory-policy';
  const policy = info.get('maxmemory_policy') ?? 'unknown';
  if (policy === 'allkeys-lru') return ok(id, 'maxmemory-policy is allkeys-lru');
  const meaning =
    policy === 'noeviction'
      ? 'When memory is full Redis refuses writes; fences fail then, and the service stops using it.'
      : policy.startsWith('volatile')
        ? 'Only keys with a time to live are evicted. What others keep there without one takes the room of the cache.'
        : 'Entries that are read often may be evicted before those that nobody wants.';
  const remedy = `${cli} CONFIG SET maxmemory-policy allkeys-lru   # then CONFIG REWRITE, so that it stays`;
  return warn(id, { finding: `maxmemory-policy is ${policy}`, meaning, remedy });
}

/** The value of a setting; `undefined` where the server keeps its settings to itself, as managed ones do. */
async function settingOf(sight: Sight, name: string): Promise<string | undefined> {
  const reply = await sight.ask(['CONFIG', 'GET', name]).catch(() => undefined);
  if (reply === undefined) return undefined;
  const [, value] = asArray(reply);
  return value === undefined ? undefined : asText(value);
}

async function examinePersistence(sight: Sight, info: Info, cli: string): Promise<Finding[]> {
  const id = 'redis.persistence';
  const failed = ['rdb_last_bgsave_status', 'aof_last_write_status'].find((name) => (info.get(name) ?? 'ok') !== 'ok');
  if (failed !== undefined) {
    return [
      fail(id, {
        finding: `Redis could not save what it has (${failed} is ${info.get(failed)})`,
        meaning: 'It refuses writes until it can save again, so the service does not use it.',
        remedy: `${cli} CONFIG SET save "" appendonly no   # a cache needs no saving; or make room on its disk`,
      }),
    ];
  }
  const save = await settingOf(sight, 'save');
  const isSaving = (save ?? '') !== '';
  const isLogging = info.get('aof_enabled') === '1';
  if (!isSaving && !isLogging) {
    return [ok(id, save === undefined ? 'no append-only file; CONFIG is not to be read' : 'nothing is saved to disk')];
  }
  const what = [...(isSaving ? [`snapshots (save ${save})`] : []), ...(isLogging ? ['an append-only file'] : [])];
  return [
    warn(id, {
      finding: `Redis saves to disk: ${what.join(' and ')}`,
      meaning:
        'It costs forks and writes, and brings nothing: what a restarted Redis brings back is never served. Right only where others keep something there.',
      remedy: `${cli} CONFIG SET save "" appendonly no   # then CONFIG REWRITE, so that it stays`,
    }),
  ];
}

async function examineReplicas(sight: Sight, info: Info, cli: string): Promise<Finding[]> {
  const wanted = Number((await settingOf(sight, 'min-replicas-to-write')) ?? 0);
  const good = Number(info.get('min_slaves_good_slaves') ?? info.get('connected_slaves') ?? 0);
  if (good >= wanted) return [];
  return [
    fail('redis.replicas', {
      finding: `min-replicas-to-write is ${wanted}, and ${good} replicas keep up`,
      meaning: 'Redis refuses writes, so the service does not use it.',
      remedy: `${cli} CONFIG SET min-replicas-to-write ${good}   # or bring the replicas back`,
    }),
  ];
}

/** The user asks what it may do itself, by a script, which needs no right beyond those that the service needs. */
async function examineRights(sight: Sight, address: RedisAddress): Promise<Finding[]> {
  const id = 'redis.rights';
  const user = address.username ?? 'default';
  const realm = realmOf(address);
  const asked = checks(realm);
  let missing: readonly string[];
  try {
    const words = JSON.stringify(asked.map((each) => each.words));
    const answers = asText(await sight.ask(['EVAL', rightsScript.text, '0', words]));
    if (answers === '') return [];
    missing = missingRights(asked, answers);
  } catch (error) {
    // It may be that it does not run scripts now; that is told elsewhere.
    if (!describeError(error).startsWith('NOPERM')) return [];
    missing = ['+eval'];
  }
  if (missing.length === 0) return [ok(id, `user ${user} may do what is needed`)];
  return [
    fail(id, {
      finding: `user ${user} lacks ${missing.join(' ')}`,
      meaning: 'Steps of the cache fail, and the service does not use Redis.',
      remedy: `redis-cli ACL SETUSER ${user} ${rightsOf(realm).map(quoted).join(' ')}   # all that is needed, and no more`,
    }),
  ];
}

/** For a shell, to which these mean something. */
function quoted(word: string): string {
  return /[*&{}|]/.test(word) ? `'${word}'` : word;
}

/** The names of the keys of all resources begin with these words. */
export function realmOf({ kind, prefix = '' }: RedisAddress): Realm {
  return { prefix, isCluster: kind === 'cluster', names: resources.flatMap(({ name, item }) => [item, name]) };
}

const pings = 5;

async function examineLatency(sight: Sight, { REDIS_TIMEOUT_MS: deadline }: Settings): Promise<Finding> {
  const id = 'redis.latency';
  const took: number[] = [];
  for (let count = 0; count < pings; count += 1) {
    const began = performance.now();
    await sight.ask(['PING']);
    took.push(performance.now() - began);
  }
  const median = took.toSorted((one, other) => one - other)[Math.floor(pings / 2)] ?? 0;
  const shown = `${median.toFixed(1)} ms`;
  if (median < deadline / 2) return ok(id, `a round trip takes ${shown}`);
  return warn(id, {
    finding: `a round trip takes ${shown}, and REDIS_TIMEOUT_MS is ${deadline}`,
    meaning: 'Commands miss their deadline now and then, and their readers go to the database.',
    remedy: `REDIS_TIMEOUT_MS=${Math.ceil(median) * 4}`,
  });
}

async function examineTime(sight: Sight, now: () => number): Promise<Finding> {
  const before = now();
  const [seconds, micros] = asArray(await sight.ask(['TIME']));
  const after = now();
  const theirs = Number(asText(seconds)) * 1000 + Number(asText(micros)) / 1000;
  return examineSkew('redis.clock', 'Redis', { theirs, before, after });
}
