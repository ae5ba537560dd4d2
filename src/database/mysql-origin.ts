import { createHash } from 'node:crypto';
import type { PoolConnection, RowDataPacket } from 'mysql2/promise';

/**
 * Which data a connection leads to, as a short digest. Servers of one Galera cluster or one replication group are one
 * origin: each of them has all that was committed. A replica that was promoted is another one, and so is what a backup
 * was restored to.
 *
 * MySQL has `@@server_uuid`. MariaDB's `@@server_uid` is made from hardware address and port, so the data folder and the
 * server's own number are taken as well.
 */
export async function readOrigin(connection: PoolConnection): Promise<string> {
  const own = await showing(connection, 'VARIABLES', variables);
  const group = own.get('group_replication_group_name') ?? '';
  const galera =
    own.get('wsrep_on') === 'ON' ? (await showing(connection, 'STATUS', [galeraState])).get(galeraState) : undefined;
  const shared = galera ?? group;
  const named = shared === '' ? describe(own) : shared;
  return createHash('sha256').update(named).digest('base64url').slice(0, 12);
}

const galeraState = 'wsrep_cluster_state_uuid';
const ofMariadb = ['server_uid', 'server_id', 'hostname', 'port', 'datadir'];
const variables = ['server_uuid', 'group_replication_group_name', 'wsrep_on', ...ofMariadb];

function describe(own: ReadonlyMap<string, string>): string {
  return own.get('server_uuid') ?? ofMariadb.map((name) => own.get(name) ?? '').join('\n');
}

async function showing(
  connection: PoolConnection,
  kind: 'VARIABLES' | 'STATUS',
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const list = names.map((name) => `'${name}'`).join(', ');
  const [rows] = await connection.query<RowDataPacket[]>({
    sql: `SHOW GLOBAL ${kind} WHERE Variable_name IN (${list})`,
  });
  return new Map(rows.map(({ Variable_name: name, Value: value }): [string, string] => [asText(name), asText(value)]));
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
