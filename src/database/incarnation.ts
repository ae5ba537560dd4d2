import { randomBytes } from 'node:crypto';
import { ConstraintViolation, type Database } from './database.ts';

/**
 * Whether the database is still the one that entries were loaded from, and not a backup of it that was restored in its place,
 * on the same server: then what is cached may be ahead of it.
 *
 * A row beside that of the barrier has a **token**, which is part of every version, and a **beat**, the time by the clock of
 * the database, in milliseconds, that never goes back while the database goes on. Every instance looks at it once a
 * second, and before it trusts a store; whoever finds the beat older than `beatMs` moves it on. A backup brings back an older
 * row. So the database has gone back
 *
 *   - when the beat is before the one that this instance has seen last;
 *   - when it is behind that, and that is not among the beats that came before it, of which the row has the latest: another
 *     instance, that had seen less, has moved on what was restored;
 *   - when an instance that has just begun finds that nobody has moved it for `unwatchedMs`: a restore may have happened, and
 *     nobody was there to see it.
 *
 * Then the token is made anew, with a beat beyond all that were seen, by compare and set: of several instances one does it, and
 * a look at a replica that lags, or at a copy that is not the truth, changes nothing. From then on no version of before counts.
 *
 * What is not seen: a restore to a moment after the last beat, which is `beatMs` before the end at most; tables that were
 * restored without this one. For these there is `invalidate --all`.
 */
export class Incarnation {
  readonly #database: Database;
  readonly #unique: () => string;
  readonly #beatMs: number;
  #known: Beat | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(database: Database, { unique = randomToken, beatMs = usualBeatMs } = {}) {
    this.#database = database;
    this.#unique = unique;
    this.#beatMs = beatMs;
  }

  /** What entries that are loaded now come from; complete after the first `look`. */
  get origin(): string {
    return `${this.#database.origin}${this.#known?.token ?? ''}`;
  }

  /** Rejects when the database is away. */
  look(): Promise<void> {
    // One behind the other: two at once would take each other's beat for another's.
    const looked = this.#last.then(() => this.#look());
    this.#last = looked.catch(() => undefined);
    return looked;
  }

  async #look(): Promise<void> {
    for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
      const found = await readBeat(this.#database);
      if (found === undefined) await this.#begin();
      else if (this.#hasGoneBack(found)) await this.#renew(found);
      else return await this.#adopt(found);
    }
    // What is read is not what is written: a replica, say. Who knows nothing yet must not begin with that.
    if (this.#known === undefined) throw new Error('the incarnation of the database cannot be told');
  }

  #hasGoneBack({ token, beat, earlier, now }: Found): boolean {
    const known = this.#known;
    if (known === undefined) return now - beat > unwatchedMs;
    if (beat < known.beat) return true;
    // Another one has found it to have gone back, and has seen to it.
    if (token !== known.token) return beat === known.beat;
    const [oldest = beat] = earlier;
    return beat > known.beat && oldest <= known.beat && !earlier.includes(known.beat);
  }

  async #adopt(found: Found): Promise<void> {
    const { token, beat, earlier, now } = found;
    this.#known = { token, beat };
    if (now - beat < this.#beatMs) return;
    const next = { token, beat: Math.max(now, beat + 1), earlier: [...earlier, beat].slice(-mostEarlier) };
    // Another instance may be faster, or the row is that of a replica.
    if (await this.#set(found, next)) this.#known = { token, beat: next.beat };
  }

  async #renew(found: Found): Promise<void> {
    const beat = Math.max(found.beat, found.now, this.#known?.beat ?? 0) + 1;
    await this.#set(found, { token: this.#unique(), beat, earlier: [] });
  }

  async #set(from: Written, to: Written): Promise<boolean> {
    const { affectedRows } = await this.#database.execute(
      `UPDATE cache_barrier SET run = ?, generation = ? WHERE id = ${row} AND run = ? AND generation = ?`,
      [toText(to), to.beat, toText(from), from.beat],
    );
    return affectedRows === 1;
  }

  /** The first one ever, or in a backup that is older than this row. */
  async #begin(): Promise<void> {
    const beat = (this.#known?.beat ?? 0) + 1;
    try {
      await this.#database.execute(
        `INSERT INTO cache_barrier (id, run, generation, settled) VALUES (${row}, ?, ?, 1)`,
        [this.#unique(), beat],
      );
    } catch (error) {
      if (!(error instanceof ConstraintViolation)) throw error;
    }
  }
}

/** What entries come from that are loaded now, for who only looks; `''` behind the server's own where nobody has begun. */
export async function readOrigin(database: Database): Promise<string> {
  const found = await readBeat(database);
  return `${database.origin}${found?.token ?? ''}`;
}

interface Beat {
  readonly token: string;
  /** Milliseconds of the database's clock. */
  readonly beat: number;
}

interface Written extends Beat {
  /** The beats before this one, the oldest first. */
  readonly earlier: readonly number[];
}

interface Found extends Written {
  readonly now: number;
}

/** In the column of the run: the token, then the earlier beats. */
function toText({ token, earlier }: Written): string {
  return [token, ...earlier.map((beat) => beat.toString(36))].join(' ');
}

async function readBeat(database: Database): Promise<Found | undefined> {
  const [found] = await database.query(
    `SELECT run, generation, FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000) FROM cache_barrier WHERE id = ${row}`,
  );
  if (found === undefined) return undefined;
  const [token = '', ...earlier] = String(found[0]).split(' ');
  const beats = earlier.map((beat) => Number.parseInt(beat, 36));
  return { token, beat: Number(found[1]), earlier: beats, now: Number(found[2]) };
}

function randomToken(): string {
  return randomBytes(6).toString('base64url');
}

/** That of the barrier is 1. */
const row = 2;
/** Longer than some looks, so that the instances write it once among them. */
const usualBeatMs = 5_000;
/** Longer than it takes to restart an instance that is alone, shorter than to restore a backup. */
const unwatchedMs = 30_000;
/** A minute and a half; as text they fit into the column. */
const mostEarlier = 18;
const mostAttempts = 5;
