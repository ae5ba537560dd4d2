import type { DatabaseAddress } from '../config.ts';
import type { Database } from '../database/database.ts';
import { positionIn, selectPosition } from '../database/mysql-positions.ts';
import { openReplica, optionsOf } from '../database/open.ts';
import { keepsCommitOrder } from '../database/replicas.ts';
import { describeError } from '../errors.ts';
import type { Settings } from '../options.ts';
import { type Finding, ok, warn } from './finding.ts';

/** Whether the read replicas of the settings, if any, can answer loads. Without them the primary answers all. */
export async function examineReplicas(
  primary: Pick<Database, 'query'>,
  settings: Settings,
  address: DatabaseAddress,
): Promise<Finding[]> {
  const replicas = settings.DB_REPLICAS ?? [];
  if (replicas.length === 0) return [];
  const options = optionsOf(settings, address);
  const findings = replicas.map(async ({ host, port }): Promise<Finding> => {
    const database = openReplica(options, { host, port });
    const id = `mysql.replica.${host}:${port}`;
    try {
      return (await keepsCommitOrder(database)) ? ok(id, `the replica answers at ${host}:${port}`) : outOfOrder(id);
    } catch (error) {
      return away(id, { host, port }, address.user, error);
    } finally {
      await database.close();
    }
  });
  return [await examinePositions(primary), ...(await Promise.all(findings))];
}

async function examinePositions(primary: Pick<Database, 'query'>): Promise<Finding> {
  const [row] = await primary.query(selectPosition).catch(() => []);
  if (positionIn(row) !== undefined) return ok('mysql.gtid', 'the primary numbers its commits');
  return warn('mysql.gtid', {
    finding:
      'the primary tells of no position: it has no global transaction identifiers, or has not committed anything yet',
    meaning: 'Nobody knows how far a replica must have come, so all loads go to the primary.',
    remedy:
      'MySQL: start it with --gtid-mode=ON --enforce-gtid-consistency=ON; MariaDB: with --log-bin   # both need a restart, or the steps of the manual',
  });
}

function outOfOrder(id: string): Finding {
  return warn(id, {
    finding: 'it commits in another order than the primary (replica_preserve_commit_order is OFF)',
    meaning: 'It may show a commit and not one before it, so it is not asked.',
    remedy: 'STOP REPLICA; SET PERSIST replica_preserve_commit_order = ON; START REPLICA;   -- on the replica',
  });
}

function away(id: string, { host, port }: { host: string; port: number }, user: string, error: unknown): Finding {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return warn(id, {
    finding: `it cannot be used: ${describeError(cause)}`,
    meaning: 'Its loads go to the others, or to the primary.',
    remedy: `mysqladmin -h ${host} -P ${port} -u ${user} -p ping   # from this machine: is it running, does it know the user?`,
  });
}
