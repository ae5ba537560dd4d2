import { type AnyRow, isSame, newestFirst, stampOf } from './rows.ts';

/**
 * What is known of the rows of one list, or of one row, from answers and events. No input or output, no time of its own.
 *
 * **Order.** Events of a row are ordered by their versions (`versions.ts` passes on only what is later than all before).
 * Answers have none. What is known of them is this: everything that happens gets a number (`#step`), and a read remembers
 * the number at which it began. The service tells of a change only when every read sees it, so
 *
 * - what was heard before a read began is contained in its answer;
 * - of two answers about a row, the one of the read that began later is not older than the other;
 * - an answer that equals an event may be taken for the version of this event, and is ordered by it from then on.
 *
 * **Doubt.** What is heard after a read began may be newer than its answer, or older: then the answer contains a later
 * change of the row that is still on its way. To show it could mean to go back. It is shown if the answer was given long
 * ago (`settledBefore`) and the row's `updated_at` has grown since; else it is doubtful: what is shown stays, and the row is
 * to be read once more. That read contains the event, whatever else it contains.
 *
 * **Frontier.** Of a list of the newest rows only those up to its last one are known without a gap. What sorts behind it
 * is not shown, until the list is read again.
 */
export class Replica<Row extends AnyRow> {
  readonly #limit: number;
  readonly #entries = new Map<string, Entry<Row>>();
  #step = 0;
  /** Those that are under way. */
  readonly #reading = new Set<Reading>();
  #answeredAt = -Infinity;
  /** The largest `updated_at` in the last answer: what was gone by then is not older. */
  #stamp = '';
  #frontier: AnyRow | undefined;
  #isTorn = false;

  /** `limit`: how many rows are shown, the newest. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** A read begins. It must come to an end by `answer`, `answerRow` or `fail`. */
  begin(): Reading {
    this.#step += 1;
    const reading = { step: this.#step };
    this.#reading.add(reading);
    return reading;
  }

  fail(reading: Reading): void {
    this.#reading.delete(reading);
    this.#tidy();
  }

  /** All rows, or the newest and whether there are more. Returns the ids that are doubtful. */
  answer(reading: Reading, rows: readonly Row[], hasMore: boolean, now: number): string[] {
    const given = new Map(rows.map((row) => [String(row.id), row]));
    const ids = new Set([...given.keys(), ...this.#entries.keys()]);
    this.#answeredAt = now;
    this.#stamp = rows.reduce((most, row) => (stampOf(row) > most ? stampOf(row) : most), '');
    this.#frontier = hasMore ? rows.at(-1) : undefined;
    this.#isTorn = false;
    const doubtful = [...ids].filter((id) => this.#merge(reading, id, given.get(id) ?? null, now));
    this.fail(reading);
    return doubtful.filter((id) => this.#entries.has(id));
  }

  /** One row; `null` when there is none. Returns whether it is doubtful. */
  answerRow(reading: Reading, id: string, row: Row | null, now: number): boolean {
    const isDoubtful = this.#merge(reading, id, row, now);
    this.fail(reading);
    return isDoubtful && this.#entries.has(id);
  }

  /**
   * An event that is later than all others that were heard of the row; `null` when it was deleted. Returns whether it is
   * doubtful: answers of after `settledBefore` may be newer than it.
   */
  hear(id: string, row: Row | null, version: number, settledBefore: number): boolean {
    this.#step += 1;
    const before = this.#entries.get(id);
    if (before === undefined && row !== null && this.#isBeyond(row) && this.#reading.size === 0) return false;
    const isLater = row === null || this.#isLater(before, row, version, settledBefore);
    const heard = { row, version, step: this.#step, isShown: isLater };
    const { answeredAt = this.#answeredAt, readFrom = -1 } = before ?? {};
    if (isLater) this.#entries.set(id, { row, version, heard, answeredAt, readFrom });
    else this.#entries.set(id, { row: null, version: undefined, answeredAt, readFrom, ...before, heard });
    this.#tidy();
    return !isLater && this.#entries.has(id);
  }

  /** Versions of another epoch cannot be compared with those of before: only answers count now. */
  forgetVersions(): void {
    for (const [id, entry] of this.#entries) {
      const heard = entry.heard === undefined ? undefined : { ...entry.heard, version: undefined };
      this.#entries.set(id, { ...entry, version: undefined, heard, answeredAt: Infinity });
    }
    this.#answeredAt = Infinity;
  }

  /** Newest first. */
  get rows(): readonly Row[] {
    const all = [...this.#entries.values()].flatMap(({ row }) => (row === null || this.#isBeyond(row) ? [] : [row]));
    return all.sort(newestFirst).slice(0, this.#limit);
  }

  /** Not all is known that should be shown: the list is to be read again. */
  get isShort(): boolean {
    return this.#isTorn || (this.#frontier !== undefined && this.rows.length < this.#limit);
  }

  #isLater(before: Entry<Row> | undefined, row: Row, version: number, settledBefore: number): boolean {
    if (isSame(before?.row ?? null, row)) return true;
    // Just after an epoch has begun, versions stand for the order in which events came, not for that of the changes.
    if (settledBefore === -Infinity) return false;
    if (before?.version !== undefined) return version > before.version;
    const answeredAt = before?.answeredAt ?? this.#answeredAt;
    const stamp = before?.row === undefined || before.row === null ? this.#stamp : stampOf(before.row);
    return answeredAt <= settledBefore && stampOf(row) > stamp;
  }

  #isBeyond(row: AnyRow): boolean {
    return this.#frontier !== undefined && newestFirst(row, this.#frontier) > 0;
  }

  /** Returns whether the row must be read again. */
  #merge(reading: Reading, id: string, row: Row | null, now: number): boolean {
    const before = this.#entries.get(id);
    if (before !== undefined && before.readFrom > reading.step) return false;
    const heard = before?.heard;
    const answered = { answeredAt: now, readFrom: reading.step };
    if (heard !== undefined && isSame(heard.row, row)) {
      this.#entries.set(id, { row, version: heard.version, heard: { ...heard, isShown: true }, ...answered });
      return false;
    }
    if (before === undefined || heard === undefined || heard.step <= reading.step) {
      this.#entries.set(id, { row, version: undefined, heard: undefined, ...answered });
      return false;
    }
    if (heard.isShown) {
      // It was later than what was shown before; the answer may be newer still.
      this.#entries.set(id, { ...before, ...answered });
      // Deleted rows don't come back.
      return before.row !== null;
    }
    this.#entries.set(id, { row, version: undefined, heard, ...answered });
    return true;
  }

  /** What is not shown is remembered while there are reads that began before it was heard. */
  #tidy(): void {
    if (this.#limit < this.#entries.size) this.#cut();
    const hidden = [...this.#entries].filter(([, { row }]) => row === null || this.#isBeyond(row));
    const isOver = this.#reading.size === 0;
    // A row that has not come yet, because that is doubtful, stays for the read that will tell.
    const gone = isOver ? hidden.filter(([, { row, heard }]) => row !== null || heard?.isShown !== false) : [];
    for (const [id] of gone) this.#entries.delete(id);
    if (hidden.length - gone.length <= mostHidden) return;
    for (const [id] of hidden) this.#entries.delete(id);
    this.#isTorn = true;
  }

  #cut(): void {
    const { rows } = this;
    const last = rows.at(-1);
    if (last === undefined || rows.length < this.#limit) return;
    const isMore = [...this.#entries.values()].some(({ row }) => row !== null && newestFirst(row, last) > 0);
    if (isMore) this.#frontier = last;
  }
}

export interface Reading {
  readonly step: number;
}

interface Entry<Row> {
  /** What is shown; `null` when there is none. */
  readonly row: Row | null;
  /** The version that this is, if that is known. */
  readonly version: number | undefined;
  /** What was heard of it last and is not contained in an answer that says something else. */
  readonly heard: Heard<Row> | undefined;
  /** The beginning of the read that was answered last; -1: none. */
  readonly readFrom: number;
  /** When that was answered; of a row that is in no answer, when the list was. */
  readonly answeredAt: number;
}

interface Heard<Row> {
  readonly row: Row | null;
  /** `undefined` when it was of another epoch. */
  readonly version: number | undefined;
  readonly step: number;
  /** What is shown is this, or was heard to be the same. */
  readonly isShown: boolean;
}

const mostHidden = 1_000;
