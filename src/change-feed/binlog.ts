import ZongJi, { type AnyBinlogEvent } from '@vlasky/zongji';
import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { errorNumber, SilentServer } from '../database/mysql-errors.ts';
import { withDeadline } from '../deadline.ts';
import { describeError } from '../errors.ts';
import { BinlogEvents } from './binlog-events.ts';
import { type Change, type ChangeSource, type ChangeStream, type Position, PositionLost } from './change-source.ts';
import { type MysqlServer, reach } from '../database/mysql-reach.ts';

/**
 * The binary log of MySQL 8.0 to 9.7 or MariaDB, read by `@vlasky/zongji` as a replica would.
 *
 * The reader does not connect anew by itself, and may fall silent without an error; both are the business of `follower.ts`.
 * What waits to be taken is bounded: past the bound the connection is not read, and the server waits.
 */
export class BinlogSource implements ChangeSource {
  readonly #options: BinlogOptions;
  #connection: Connection | undefined;

  constructor(options: BinlogOptions) {
    this.#options = options;
  }

  async end(): Promise<Position> {
    return (await this.#look()).position;
  }

  async open(from: Position, tables: readonly string[]): Promise<ChangeStream> {
    const { position: end, isMariadb } = await this.#look();
    if (from.gtids === undefined || end.gtids === undefined) {
      if (from.log !== end.log) throw new PositionLost('the database is another server, and there are no global ids');
      if (compareFiles(from, end) > 0) throw new PositionLost('the binary log is shorter than before');
    }
    const start = end.gtids === undefined ? { ...from, gtids: undefined } : from;
    const { gtids, ...rest } = start;
    const known = gtids === undefined ? rest : { ...rest, gtids };
    return await BinlogStream.open(this.#options, tables, known, isMariadb);
  }

  async close(): Promise<void> {
    this.#forget();
  }

  /** A connection on which something went wrong is not used again. */
  async #look(): Promise<{ position: Position; isMariadb: boolean }> {
    const { timeoutMs } = this.#options;
    try {
      return await withDeadline(timeoutMs, this.#ask(), () => {
        throw new SilentServer(`no answer within ${timeoutMs} ms`);
      });
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  #forget(): void {
    if (this.#connection !== undefined) destroy(this.#connection);
    this.#connection = undefined;
  }

  async #ask(): Promise<{ position: Position; isMariadb: boolean }> {
    const connection = (this.#connection ??= await this.#connect());
    const [[about]] = await connection.query<RowDataPacket[]>('SELECT VERSION() AS version');
    const isMariadb = /mariadb/i.test(String(about?.['version']));
    const [[ids]] = await connection.query<RowDataPacket[]>(isMariadb ? mariadbIds : mysqlIds);
    const { file, offset, executed } = await showEnd(connection, isMariadb);
    const log = createHash('sha256').update(String(ids?.['log'])).digest('base64url').slice(0, 12);
    const at = { log, file, offset };
    if (isMariadb) return { position: { ...at, gtids: String(ids?.['gtids']) }, isMariadb };
    return { position: ids?.['mode'] === 'ON' ? { ...at, gtids: executed } : at, isMariadb };
  }

  async #connect(): Promise<Connection> {
    const { server, timeoutMs } = this.#options;
    const connection = await createConnection({ ...reach(server), connectTimeout: timeoutMs });
    connection.on('error', () => {
      if (this.#connection === connection) this.#forget();
    });
    return connection;
  }
}

export interface BinlogOptions {
  readonly server: MysqlServer;
  /** By which the server tells this reader from its replicas. */
  readonly serverId: number;
  /** Deadline of connecting, and of a question, in milliseconds. */
  readonly timeoutMs: number;
}

class BinlogStream implements ChangeStream {
  readonly #reader: ZongJi;
  readonly #events: BinlogEvents;
  readonly #queue: Change[] = [];
  #queuedBytes = 0;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;
  #isPaused = false;
  #closed: Promise<void> | undefined;

  private constructor(options: BinlogOptions, tables: readonly string[], from: Position, isMariadb: boolean) {
    const { server, timeoutMs } = options;
    this.#events = new BinlogEvents(server.database, tables, from, isMariadb);
    this.#reader = new ZongJi({ ...reach(server), ...valuesAsSelected, connectTimeout: timeoutMs });
    this.#reader.on('error', (error: Error) => this.#fail(toLoss(error)));
    this.#reader.on('binlog', (event: AnyBinlogEvent) => this.#take(event));
  }

  static async open(
    options: BinlogOptions,
    tables: readonly string[],
    from: Position,
    isMariadb: boolean,
  ): Promise<BinlogStream> {
    const stream = new BinlogStream(options, tables, from, isMariadb);
    const { promise: ready, resolve } = Promise.withResolvers<void>();
    stream.#reader.once('ready', () => stream.#listenToCommands());
    // A server that has the position says so at once, with the name of the log.
    stream.#reader.once('binlog', () => resolve());
    stream.#wake = resolve;
    stream.#reader.start({
      serverId: options.serverId,
      includeSchema: { [options.server.database]: [...tables] },
      ...(from.gtids === undefined ? { filename: from.file, position: from.offset } : { gtidSet: from.gtids }),
    });
    try {
      await withDeadline(options.timeoutMs, ready, () =>
        stream.#fail(new SilentServer('the binary log does not begin')),
      );
      if (stream.#failure !== undefined) throw stream.#failure;
    } catch (error) {
      await stream.close();
      throw error;
    }
    return stream;
  }

  get reached(): Position {
    return this.#events.reached;
  }

  async next(limit: number): Promise<readonly Change[]> {
    while (this.#queue.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#queue.splice(0, limit);
    if (this.#queue.length === 0) this.#resume();
    return taken;
  }

  async done(): Promise<void> {
    // The server keeps its binary logs for as long as it was told to.
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#failure ??= new Error('the stream was closed');
    this.#queue.length = 0;
    this.#wake?.();
    const { connection, ctrlConnection } = this.#reader;
    this.#reader.removeAllListeners('binlog');
    const { promise: stopped, resolve } = Promise.withResolvers<void>();
    this.#reader.once('stopped', resolve);
    this.#reader.stop();
    // The library leaves the sockets open until the server closes them too, which one that is silent never does.
    if (connection !== null) destroySocket(connection);
    // Up to a second: on the second connection it kills the first, which the server would keep until it has something to send.
    await stopped;
    if (ctrlConnection !== null) destroySocket(ctrlConnection);
  }

  /** What the server answers to the dump command reaches the command alone. */
  #listenToCommands(): void {
    const { connection } = this.#reader;
    if (connection === null) return;
    const add: unknown = Reflect.get(connection, 'addCommand');
    if (typeof add !== 'function') throw new TypeError('the reader and mysql2 do not go together');
    Reflect.set(connection, 'addCommand', (command: { on(event: string, heard: (error: Error) => void): void }) => {
      command.on('error', (error) => this.#fail(toLoss(error)));
      command.on('end', () => this.#fail(new Error('the server has ended the binary log')));
      return Reflect.apply(add, connection, [command]);
    });
  }

  #take(event: AnyBinlogEvent): void {
    if (this.#failure !== undefined) return;
    try {
      const changes = this.#events.read(event);
      if (changes.length === 0) return;
      this.#queue.push(...changes);
      this.#queuedBytes += event.size;
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#queue.length > mostQueued || this.#queuedBytes > mostQueuedBytes) this.#pause();
    this.#wake?.();
  }

  #pause(): void {
    this.#isPaused = true;
    this.#reader.connection?.pause();
  }

  #resume(): void {
    this.#queuedBytes = 0;
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#reader.connection?.resume();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}

/** `end` is further on in the same log. Names of files end in numbers that only grow, until all are deleted. */
function compareFiles(one: Position, other: Position): number {
  if (one.file === other.file) return one.offset - other.offset;
  return numberOf(one.file) - numberOf(other.file);
}

function numberOf(file: string): number {
  return Number(/\d+$/.exec(file)?.[0] ?? 0);
}

/**
 * The server does not have the position any more (1236); or the reader cannot read what is there, and would not the next
 * time either: events of a kind it does not know, rows of a table that has other columns by now, or none. Errors of
 * connections have a code, or the mark `fatal`; those of the reader have neither.
 */
function toLoss(error: Error): Error {
  const number = errorNumber(error);
  const isOfConnection = 'code' in error || 'fatal' in error || error.message.startsWith('Control connection');
  const isLoss = number === positionLost || (number === undefined && !isOfConnection);
  return isLoss ? new PositionLost(describeError(error), { cause: error }) : error;
}

const positionLost = 1236;

/** Values are to be those that a SELECT of `database/mysql.ts` gives. */
const valuesAsSelected = {
  charset: 'utf8mb4_unicode_ci',
  timezone: 'Z',
  dateStrings: true,
  supportBigNumbers: true,
} as const;

const mostQueued = 1_000;
const mostQueuedBytes = 4 * 1024 * 1024;

const mysqlIds = 'SELECT @@server_uuid AS log, @@gtid_mode AS mode';
const mariadbIds =
  "SELECT CONCAT(@@server_id, '@', @@hostname, ':', @@port, @@datadir) AS log, @@gtid_binlog_pos AS gtids";

async function showEnd(
  connection: Connection,
  isMariadb: boolean,
): Promise<{ file: string; offset: number; executed: string }> {
  const [row] = await showStatus(connection, isMariadb);
  if (row === undefined) throw new Error('the server writes no binary log (log_bin)');
  const executed: unknown = row['Executed_Gtid_Set'];
  return {
    file: String(row['File']),
    offset: Number(row['Position']),
    executed: typeof executed === 'string' ? executed.replaceAll(/\s/g, '') : '',
  };
}

/** MySQL 8.2 has given the statement a new name, and 8.4 has taken the old one away. */
async function showStatus(connection: Connection, isMariadb: boolean): Promise<RowDataPacket[]> {
  if (!isMariadb) {
    try {
      const [rows] = await connection.query<RowDataPacket[]>('SHOW BINARY LOG STATUS');
      return rows;
    } catch (error) {
      if (errorNumber(error) !== syntaxError) throw error;
    }
  }
  const [rows] = await connection.query<RowDataPacket[]>('SHOW MASTER STATUS');
  return rows;
}

const syntaxError = 1064;

/** At once, also when the server is silent. */
export function destroy(connection: Connection): void {
  connection.destroy();
  const inner: unknown = Reflect.get(connection, 'connection');
  if (typeof inner === 'object' && inner !== null) destroySocket(inner);
}

function destroySocket(connection: object): void {
  if ('stream' in connection && connection.stream instanceof Duplex) connection.stream.destroy();
}
