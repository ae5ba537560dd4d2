import type { AnyBinlogEvent } from '@vlasky/zongji';
import { GtidSet, MariadbGtidPosition } from '@vlasky/zongji';
import { positionOfGtid } from '../database/mysql-positions.ts';
import type { SqlValue } from '../database/database.ts';
import { type Change, type Image, type Position, PositionLost, placeOf } from './change-source.ts';
import { isXa, tablesTouched } from './statements.ts';

/**
 * Turns the events of a binary log into changes.
 *
 * A transaction is `GTID, BEGIN, (TABLE_MAP, rows)..., XID`, or a single statement behind its GTID; MariaDB leaves out BEGIN.
 * Places are made of the end of the GTID event, which is the same whenever the transaction is told of, and the number of the
 * row in it: MariaDB gives no position to the events inside of a transaction.
 *
 * A prepared XA transaction is in the log long before it is committed. Its rows are left out, and its commit, which names
 * none of them, counts as a change of all tables.
 */
export class BinlogEvents {
  readonly #database: string;
  readonly #tables: ReadonlySet<string>;
  readonly #log: string;
  readonly #gtids: GtidSet | MariadbGtidPosition | undefined;
  #file: string;
  #offset: number;
  #begin = '';
  #rows = 0;
  /** Between its BEGIN, or what stands for it, and its end. */
  #isOpen = false;
  #isPrepared = false;
  #gtid: GtidEvent | undefined;

  constructor(database: string, tables: readonly string[], from: Position, isMariadb: boolean) {
    this.#database = database;
    this.#tables = new Set(tables);
    this.#log = from.log;
    this.#file = from.file;
    this.#offset = from.offset;
    if (from.gtids !== undefined) {
      this.#gtids = isMariadb ? MariadbGtidPosition.parse(from.gtids) : GtidSet.parse(from.gtids);
    }
  }

  get reached(): Position {
    return this.#position(undefined);
  }

  /** The changes that an event tells of. Throws `PositionLost` for one that cannot be read. */
  read(event: AnyBinlogEvent): readonly Change[] {
    if (event.nextPosition > 0 && event.getTypeName() !== 'Rotate') this.#offset = event.nextPosition;
    const kind: string = event.getTypeName();
    switch (kind) {
      case 'Rotate':
        if ('binlogName' in event && 'position' in event) {
          this.#file = event.binlogName;
          this.#offset = Number(event.position);
        }
        return [];
      case 'Gtid':
      case 'AnonymousGtid':
      case 'MariadbGtid':
        this.#begins(event);
        return [];
      case 'Query':
        return 'query' in event ? this.#readQuery(event.query, event.schema) : [];
      case 'WriteRows':
      case 'UpdateRows':
      case 'DeleteRows':
        return this.#readRows(event);
      case 'Xid':
        return this.#ends();
      case 'XaPrepare':
        return this.#readPrepare('onePhase' in event && event.onePhase);
      case 'TransactionPayload':
      case 'PartialUpdateRows':
        throw new PositionLost(`the reader cannot read ${kind} events`);
      default:
        return [];
    }
  }

  #begins(event: AnyBinlogEvent): void {
    this.#begin = placeOf({ file: this.#file, offset: this.#offset });
    this.#rows = 0;
    // A server that gives no ids says so with an event of the same shape.
    this.#gtid = 'gtid' in event && event.getTypeName() !== 'AnonymousGtid' ? toGtid(event) : undefined;
    this.#isOpen = 'standalone' in event && !event.standalone;
    this.#isPrepared = 'preparedXa' in event && event.preparedXa;
  }

  #readQuery(query: string, current: string): readonly Change[] {
    if (/^\s*begin\b/i.test(query)) {
      this.#isOpen = true;
      return [];
    }
    if (isXa(query, 'start')) {
      this.#isPrepared = true;
      this.#isOpen = true;
      return [];
    }
    if (/^\s*(commit|rollback)\s*;?\s*$/i.test(query)) return this.#ends();
    const touched = isXa(query, 'commit')
      ? [...this.#tables]
      : tablesTouched(query, current, this.#database, this.#tables);
    const reason = query.slice(0, shownCharacters);
    const changes = touched.map((table): Change => ({ type: 'table', table, reason }));
    return this.#isOpen ? changes : [...changes, ...this.#ends()];
  }

  /** With one phase it is committed at once. */
  #readPrepare(onePhase: boolean): readonly Change[] {
    const reason = 'XA COMMIT ... ONE PHASE';
    const changes = onePhase ? [...this.#tables].map((table): Change => ({ type: 'table', table, reason })) : [];
    return [...changes, ...this.#ends()];
  }

  #ends(): readonly Change[] {
    this.#isOpen = false;
    this.#isPrepared = false;
    const position = this.#position(this.#gtid);
    this.#gtid = undefined;
    return [{ type: 'boundary', position }];
  }

  #position(committed: GtidEvent | undefined): Position {
    const at = { log: this.#log, file: this.#file, offset: this.#offset };
    if (this.#gtids === undefined) return at;
    if (committed !== undefined) {
      if (this.#gtids instanceof GtidSet) this.#gtids.add(committed.gtid);
      else if ('seqNo' in committed) this.#gtids.add(committed);
    }
    return { ...at, gtids: this.#gtids.toString() };
  }

  #readRows(event: AnyBinlogEvent): readonly Change[] {
    if (!('rows' in event) || this.#isPrepared) return [];
    const entry: unknown = Reflect.get(event.tableMap, event.tableId);
    const table = String(Reflect.get(Object(entry), 'tableName'));
    if (!isWhole(event)) return [{ type: 'table', table, reason: 'a row image that is not whole' }];
    const committed = positionOfGtid(this.#gtid?.gtid ?? '');
    return event.rows.map((row): Change => {
      this.#rows += 1;
      const place = `${this.#begin}.${String(this.#rows).padStart(10, '0')}`;
      const { before, after } = imagesOf(event.getTypeName(), row);
      return { type: 'row', table, before, after, place, committed };
    });
  }
}

type GtidEvent = Extract<AnyBinlogEvent, { gtid: string }>;

function toGtid(event: AnyBinlogEvent): GtidEvent | undefined {
  return 'gtid' in event && event.gtid !== undefined && ('sid' in event || 'seqNo' in event) ? event : undefined;
}

/** A session may write less than the server is told to (`binlog_row_image`); what is left out would read as NULL. */
function isWhole(event: object): boolean {
  const count = Number(Reflect.get(event, 'numberOfColumns'));
  return ['columns_present_bitmap', 'columns_present_bitmap2'].every((name) => {
    const bitmap: unknown = Reflect.get(event, name);
    if (!Buffer.isBuffer(bitmap)) return true;
    let present = 0;
    for (const byte of bitmap) for (let bits = byte; bits > 0; bits &= bits - 1) present += 1;
    return present >= count;
  });
}

function imagesOf(kind: string, row: unknown): { before: Image | null; after: Image | null } {
  if (kind === 'WriteRows') return { before: null, after: toImage(row) };
  if (kind === 'DeleteRows') return { before: toImage(row), after: null };
  return { before: toImage(Reflect.get(Object(row), 'before')), after: toImage(Reflect.get(Object(row), 'after')) };
}

function toImage(row: unknown): Image {
  return Object.fromEntries(Object.entries(Object(row)).map(([name, value]) => [name, toSqlValue(value)]));
}

/** Text of a binary column comes as its bytes; nothing else that a resource can show is no plain value. */
function toSqlValue(value: unknown): SqlValue {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value;
  if (value === null || value === undefined) return null;
  return Buffer.isBuffer(value) ? value.toString() : JSON.stringify(value);
}

const shownCharacters = 100;
