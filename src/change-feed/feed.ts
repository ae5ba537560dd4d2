import { randomInt } from 'node:crypto';
import type { Cache } from '../cache/cache.ts';
import type { Clock } from '../cache/clock.ts';
import type { DatabaseAddress } from '../config.ts';
import type { Database } from '../database/database.ts';
import type { Settings } from '../options.ts';
import type { EventLog } from '../realtime/event-log.ts';
import { tablesOf } from '../resources/changes.ts';
import type { Resource } from '../resources/resource.ts';
import { BinlogSource } from './binlog.ts';
import { type Cascades, readCascades } from './cascades.ts';
import type { ChangeSource } from './change-source.ts';
import type { Checkpoint } from './checkpoint.ts';
import { Effects } from './effects.ts';
import { Follower } from './follower.ts';
import { DatabaseLock } from './leader-lock.ts';
import { checkBinlog, checkTriggers, logsCascades, type Problem } from './server-checks.ts';
import { TriggerSource } from './triggers.ts';

/** Puts the feed together, as the settings have it; `undefined` when there is to be none. It begins with `start`. */
export function openFeed(parts: FeedParts): Follower | undefined {
  const { settings, database, clock, server } = parts;
  const { CHANGE_FEED: kind, FEED_FENCE_MS: fenceMs } = settings;
  if (kind === 'off') return undefined;
  const serverId = settings.FEED_SERVER_ID === 0 ? randomInt(firstOwnId, lastId) : settings.FEED_SERVER_ID;
  const isBinlog = kind === 'binlog';
  const source: ChangeSource = isBinlog
    ? new BinlogSource({ server, serverId, timeoutMs })
    : new TriggerSource({
        server,
        database,
        shown: columnsShown(parts.resources),
        clock,
        pollMs: settings.FEED_POLL_MS,
        timeoutMs,
      });
  const tablesWith = (cascades: Cascades): readonly string[] => followedTables(parts.resources, cascades);
  const readAll = async (): Promise<Cascades> =>
    await readCascades(database, isBinlog && (await logsCascades(database)));
  const check = async (): Promise<readonly Problem[]> =>
    isBinlog
      ? await checkBinlog(database, { user: server.user, serverId, tables: tablesWith(await readAll()) })
      : await checkTriggers(database, server.user);
  return new Follower({
    source,
    lock: new DatabaseLock({ server, clock, timeoutMs }),
    checkpoint: parts.checkpoint,
    effects: new Effects({ ...parts, fenceMs }),
    clock,
    check,
    readCascades: readAll,
    tablesWith,
    fenceMs,
    ...pace,
    ...parts.pace,
  });
}

export interface FeedParts {
  readonly settings: Pick<Settings, 'CHANGE_FEED' | 'FEED_FENCE_MS' | 'FEED_POLL_MS' | 'FEED_SERVER_ID'>;
  readonly server: DatabaseAddress;
  readonly resources: readonly Resource[];
  readonly cache: Cache;
  readonly database: Database;
  readonly checkpoint: Checkpoint;
  readonly events: Pick<EventLog, 'append' | 'renew'>;
  readonly clock: Clock;
  /** Other than the usual pace, for tests. */
  readonly pace?: Partial<typeof pace>;
}

/** The tables that are shown, and those whose foreign keys may change them. */
function followedTables(resources: readonly Resource[], cascades: Cascades): readonly string[] {
  const shown = resources.flatMap(tablesOf);
  return [...new Set([...shown, ...shown.flatMap((table) => cascades.parentsOf(table))])].toSorted();
}

function columnsShown(resources: readonly Resource[]): ReadonlyMap<string, readonly string[]> {
  const shown = new Map<string, Set<string>>();
  const add = (table: string, columns: object): void => {
    const known = shown.get(table) ?? new Set<string>();
    for (const column of Object.keys(columns)) known.add(column);
    shown.set(table, known);
  };
  for (const { table, columns, embed } of resources) {
    add(table, columns);
    if (embed !== undefined) add(embed.table, embed.columns);
  }
  return new Map([...shown].map(([table, columns]) => [table, [...columns]]));
}

const timeoutMs = 2_000;
const pace = { checkpointMs: 100, heartbeatMs: 1_000, stallMs: 3_000, recheckMs: 30_000, resignMs: 10_000 };
/** Servers and replicas are given small numbers. */
const firstOwnId = 2 ** 31;
const lastId = 2 ** 32 - 1;
