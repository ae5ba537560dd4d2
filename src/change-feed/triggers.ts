import { createHash, randomBytes } from 'node:crypto';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { type Clock, pause } from '../cache/clock.ts';
import type { Database, Row } from '../database/database.ts';
import type { Change, ChangeSource, ChangeStream, Image, Position } from './change-source.ts';
import { destroy } from './binlog.ts';
import { type MysqlServer, reach } from '../database/mysql-reach.ts';

/**
 * For where the binary log may not be read: triggers on the followed tables write the ids of changed rows into a table, which
 * is polled.
 *
 * Rows are deleted once they took effect, and everything that is there is looked at: a transaction that commits late has ids
 * that are lower than those that were seen. So the order is that of the polls, and within one that of the ids, not that of
 * the commits. What a row holds is read when it is polled. TRUNCATE, DDL and what foreign keys do fire no trigger.
 */
export class TriggerSource implements ChangeSource {
  readonly #options: TriggerOptions;

  constructor(options: TriggerOptions) {
    this.#options = options;
  }

  async end(): Promise<Position> {
    const there = await this.#options.database.query(
      "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'cache_changes'",
    );
    if (there.length === 0) return { log: 'triggers', file: '', offset: 0 };
    const [[last = null] = []] = await this.#options.database.query('SELECT MAX(id) FROM cache_changes');
    return { log: 'triggers', file: '', offset: Number(last ?? 0) };
  }

  /** What is there is what was not consumed, wherever the follower believes to be. */
  async open(_from: Position, tables: readonly string[]): Promise<ChangeStream> {
    await this.#install(tables);
    return new TriggerStream(this.#options);
  }

  async close(): Promise<void> {
    // The connections are those of the pool.
  }

  /** Triggers cannot be made by way of the pool: they are no prepared statements. */
  async #install(tables: readonly string[]): Promise<void> {
    const { server, timeoutMs, shown } = this.#options;
    const connection = await createConnection({ ...reach(server), connectTimeout: timeoutMs });
    connection.on('error', () => undefined);
    try {
      // Who waits for the lock on a table keeps everybody else waiting behind.
      await connection.query('SET SESSION lock_wait_timeout = 2');
      await connection.query(changesTable);
      const [found] = await connection.query<RowDataPacket[]>(
        `SELECT trigger_name AS name FROM information_schema.triggers WHERE trigger_schema = DATABASE() AND trigger_name LIKE '${prefix.replaceAll('_', String.raw`\_`)}%'`,
      );
      const there = new Set(found.map((row) => String(row['name'])));
      const wanted = new Map(tables.flatMap((table) => triggersOf(table, shown.get(table) ?? ['id'])));
      for (const [name, sql] of wanted) if (!there.has(name)) await connection.query(sql);
      for (const name of there) if (!wanted.has(name)) await connection.query(`DROP TRIGGER IF EXISTS ${name}`);
    } finally {
      destroy(connection);
    }
  }
}

export interface TriggerOptions {
  readonly server: MysqlServer;
  readonly database: Database;
  /** The columns that matter, by table; of others only the id does. */
  readonly shown: ReadonlyMap<string, readonly string[]>;
  readonly clock: Clock;
  readonly pollMs: number;
  readonly timeoutMs: number;
}

class TriggerStream implements ChangeStream {
  readonly #options: TriggerOptions;
  /** Places count within one stream alone, so each is a log of its own. */
  readonly #log = `triggers ${randomBytes(6).toString('base64url')}`;
  /** Taken and not done. */
  readonly #taken = new Set<string>();
  #count = 0;
  #last = 0;
  #isClosed = false;

  constructor(options: TriggerOptions) {
    this.#options = options;
  }

  get reached(): Position {
    // Whoever polls has read all there is.
    return { log: this.#log, file: '', offset: Number.MAX_SAFE_INTEGER };
  }

  async next(limit: number): Promise<readonly Change[]> {
    for (;;) {
      if (this.#isClosed) throw new Error('the stream was closed');
      const found = await this.#poll(Math.max(1, limit - 1));
      if (found.length > 0) return await this.#toChanges(found, limit);
      await pause(this.#options.clock, this.#options.pollMs);
    }
  }

  async done(): Promise<void> {
    const ids = [...this.#taken];
    this.#taken.clear();
    if (ids.length > 0) {
      const { database } = this.#options;
      const marks = ids.map(() => database.dialect.integer).join(', ');
      await database.execute(`DELETE FROM cache_changes WHERE id IN (${marks})`, ids);
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async #poll(limit: number): Promise<readonly Row[]> {
    if (this.#taken.size > mostTaken) throw new Error('too many changes were taken that are not done');
    const { database } = this.#options;
    const marks = [...this.#taken].map(() => database.dialect.integer).join(', ');
    const others = this.#taken.size === 0 ? '' : `WHERE id NOT IN (${marks})`;
    const sql = `SELECT id, table_name, before_id, after_id FROM cache_changes ${others} ORDER BY id LIMIT ${limit}`;
    return await database.query(sql, [...this.#taken]);
  }

  async #toChanges(found: readonly Row[], limit: number): Promise<readonly Change[]> {
    const rows = await this.#load(found);
    const changes: Change[] = [];
    for (const [id, table, beforeId, afterId] of found) {
      this.#taken.add(String(id));
      this.#count += 1;
      const before = beforeId === null || beforeId === undefined ? null : { id: beforeId };
      const after = rows.get(`${String(table)} ${String(afterId)}`) ?? null;
      // It is gone again by now: that is told of by a row of its own, which names the key that it had last.
      const isGone = afterId !== null && after === null;
      if (isGone && (before === null || String(beforeId) === String(afterId))) continue;
      const place = String(this.#count).padStart(20, '0');
      changes.push({ type: 'row', table: String(table), before, after, place });
    }
    this.#last = Number(found.at(-1)?.[0] ?? this.#last);
    if (changes.length < limit) {
      changes.push({ type: 'boundary', position: { log: this.#log, file: '', offset: this.#last } });
    }
    return changes;
  }

  /** The rows as they are now, by table and id. */
  async #load(found: readonly Row[]): Promise<Map<string, Image>> {
    const { database, shown } = this.#options;
    const images = new Map<string, Image>();
    for (const table of new Set(found.map(([, name]) => String(name)))) {
      const ids = found.flatMap(([, name, , id]) => (name === table && id !== null && id !== undefined ? [id] : []));
      if (ids.length === 0) continue;
      const columns = shown.get(table) ?? ['id'];
      const marks = ids.map(() => database.dialect.integer).join(', ');
      const rows = await database.query(`SELECT ${columns.join(', ')} FROM ${table} WHERE id IN (${marks})`, ids);
      for (const row of rows) {
        const image = Object.fromEntries(columns.map((column, index) => [column, row[index] ?? null]));
        images.set(`${table} ${String(image['id'])}`, image);
      }
    }
    return images;
  }
}

const mostTaken = 1_000;

const prefix = 'energex_feed_';

const changesTable = `CREATE TABLE IF NOT EXISTS cache_changes (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  table_name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  before_id BIGINT UNSIGNED NULL,
  after_id BIGINT UNSIGNED NULL
) ENGINE = InnoDB`;

/** Names end in a digest of what they do: other columns make other triggers. */
function triggersOf(table: string, columns: readonly string[]): [name: string, sql: string][] {
  const insert = (before: string, after: string): string =>
    `INSERT INTO cache_changes (table_name, before_id, after_id) VALUES ('${table}', ${before}, ${after})`;
  // Bytes are compared: to a collation, two texts that differ may be the same.
  const same = columns.map((column) => `CAST(OLD.${column} AS BINARY) <=> CAST(NEW.${column} AS BINARY)`).join(' AND ');
  const bodies = {
    INSERT: insert('NULL', 'NEW.id'),
    UPDATE: `IF NOT (${same}) THEN ${insert('OLD.id', 'NEW.id')}; END IF`,
    DELETE: insert('OLD.id', 'NULL'),
  };
  return Object.entries(bodies).map(([event, body]) => {
    const digest = createHash('sha256').update(`${table} ${event} ${body}`).digest('hex').slice(0, 16);
    const name = prefix + digest;
    return [name, `CREATE TRIGGER ${name} AFTER ${event} ON ${table} FOR EACH ROW ${body}`];
  });
}
