import type { Position } from '../cache/store.ts';
import type { Row } from './database.ts';

/**
 * Positions in the binary log, by global transaction identifiers. MySQL: `UUID NUMBER` of the server that committed. MariaDB:
 * `domain-D NUMBER`, in the domain of the connection. A server that has no such identifiers has no positions.
 *
 * MySQL Reference Manual, "GTID Format and Storage"; MariaDB Knowledge Base, "Global Transaction ID".
 */

/** Makes the answer to COMMIT tell of it. */
export const tellOfCommits =
  "SET /*!80000 session_track_gtids = OWN_GTID */ /*!100600 session_track_system_variables = CONCAT(@@session_track_system_variables, ',last_gtid') */";

/** Out of what the driver makes of the answer to COMMIT. */
export function positionOfCommit(answer: unknown): Position | undefined {
  const { gtids, systemVariables } = Object(Object(answer).stateChanges);
  const ofMysql: unknown = Array.isArray(gtids) ? gtids[0] : undefined;
  const ofMariadb: unknown = Object(systemVariables).last_gtid;
  if (typeof ofMysql === 'string') return mysqlPosition(ofMysql);
  return typeof ofMariadb === 'string' ? mariadbPosition(ofMariadb) : undefined;
}

/** Of a transaction in the log. */
export function positionOfGtid(gtid: string): Position | undefined {
  return mysqlPosition(gtid) ?? mariadbPosition(gtid);
}

/** `UUID:NUMBER`. One with a tag counts apart from those without. */
function mysqlPosition(gtid: string): Position | undefined {
  const [, uuid, number] = /^([\da-f-]{36}):(\d+)$/i.exec(gtid.trim()) ?? [];
  return uuid === undefined ? undefined : `${uuid.toLowerCase()} ${number}`;
}

/** `DOMAIN-SERVER-NUMBER`. */
function mariadbPosition(gtid: string): Position | undefined {
  const [, domain, number] = /^(\d+)-\d+-(\d+)$/.exec(gtid.trim()) ?? [];
  return domain === undefined ? undefined : `domain-${domain} ${number}`;
}

/** Where a server stands; the text of both servers, of which each understands its own half. */
export const selectPosition =
  "SELECT /*!80000 @@server_uuid, @@global.gtid_executed */ /*!100600 CONCAT('domain-', @@gtid_domain_id), @@gtid_binlog_pos */";

/** Out of the row of `selectPosition`. */
export function positionIn(row: Row | undefined): Position | undefined {
  const [own, all] = (row ?? []).map(String);
  if (own === undefined || all === undefined) return undefined;
  const gtids = all.split(',').map((each) => each.trim());
  const { length } = 'domain-';
  const found = own.startsWith('domain-')
    ? gtids.find((gtid) => gtid.startsWith(`${own.slice(length)}-`))
    : lastOf(gtids.find((gtid) => gtid.toLowerCase().startsWith(`${own.toLowerCase()}:`)));
  if (found === undefined) return undefined;
  return own.startsWith('domain-') ? mariadbPosition(found) : mysqlPosition(found);
}

/** Of `UUID:1-5:8-9:tag:1-2` the last without a tag: `UUID:9`. */
function lastOf(gtids: string | undefined): string | undefined {
  const [uuid, ...intervals] = gtids?.split(':') ?? [];
  const tagged = intervals.findIndex((each) => !/^[\d-]+$/.test(each));
  const untagged = tagged === -1 ? intervals : intervals.slice(0, tagged);
  const last = untagged.at(-1)?.split('-').at(-1);
  return last === undefined ? undefined : `${uuid}:${last}`;
}

/** Resolves with 0 once a replica shows the position, within so many seconds. */
export function waitFor(position: Position): { readonly sql: string; readonly gtid: string } {
  const [stream = '', number = ''] = position.split(' ');
  const domain = /^domain-(\d+)$/.exec(stream)?.[1];
  if (domain === undefined) {
    return { sql: 'SELECT WAIT_FOR_EXECUTED_GTID_SET(?, CAST(? AS DECIMAL(10, 3)))', gtid: `${stream}:${number}` };
  }
  // Of the three parts MariaDB compares the first and the last.
  return { sql: 'SELECT MASTER_GTID_WAIT(?, CAST(? AS DECIMAL(10, 3)))', gtid: `${domain}-1-${number}` };
}
