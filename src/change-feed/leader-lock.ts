import { createHash } from 'node:crypto';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import type { Clock } from '../cache/clock.ts';
import { SilentServer } from '../database/mysql-errors.ts';
import { withDeadline } from '../deadline.ts';
import { destroy } from './binlog.ts';
import { type MysqlServer, reach } from '../database/mysql-reach.ts';

/** The port to the election: at any time at most one instance leads. */
export interface LeaderLock {
  /** Resolves once this instance leads, or with `null` when another one does and went on doing so for about a second. */
  acquire(): Promise<Leadership | null>;
}

export interface Leadership {
  /** Resolves when this instance does not lead any more, or cannot know. */
  readonly lost: Promise<string>;
  release(): Promise<void>;
}

/**
 * A named lock of the database (`GET_LOCK`), held by a connection of its own. It ends with the connection: a process that is
 * killed loses it at once, one that is cut off after `idleSeconds`, when the server gives the connection up. Well before that
 * the holder has noticed by itself.
 */
export class DatabaseLock implements LeaderLock {
  readonly #options: DatabaseLockOptions;
  readonly #name: string;

  constructor(options: DatabaseLockOptions) {
    this.#options = options;
    const digest = createHash('sha256').update(options.server.database).digest('base64url').slice(0, 16);
    this.#name = `energex-cache-feed:${digest}`;
  }

  async acquire(): Promise<Leadership | null> {
    const { server, timeoutMs } = this.#options;
    const connection = await createConnection({ ...reach(server), connectTimeout: timeoutMs });
    connection.on('error', () => undefined);
    try {
      await this.#ask(connection, `SET SESSION wait_timeout = ${idleSeconds}`);
      if ((await this.#ask(connection, 'SELECT GET_LOCK(?, 1)', [this.#name])) === 1) return this.#hold(connection);
    } catch (error) {
      destroy(connection);
      throw error;
    }
    destroy(connection);
    return null;
  }

  #hold(connection: Connection): Leadership {
    const { promise: lost, resolve } = Promise.withResolvers<string>();
    let asking = false;
    const stop = this.#options.clock.every(askMs, () => {
      if (asking) return;
      asking = true;
      this.#ask(connection, 'SELECT IS_USED_LOCK(?) = CONNECTION_ID()', [this.#name])
        .then((holds) => {
          if (holds !== 1) end('the lock is not held any more');
        })
        .catch((error: unknown) => end(error instanceof Error ? error.message : String(error)))
        .finally(() => {
          asking = false;
        });
    });
    const end = (reason: string): void => {
      stop();
      destroy(connection);
      resolve(reason);
    };
    connection.on('error', (error: Error) => end(error.message));
    return {
      lost,
      release: async () => {
        stop();
        await this.#ask(connection, 'SELECT RELEASE_LOCK(?)', [this.#name]).catch(() => undefined);
        end('it was released');
      },
    };
  }

  async #ask(connection: Connection, sql: string, params: readonly string[] = []): Promise<unknown> {
    const { timeoutMs } = this.#options;
    const answer = connection.query<RowDataPacket[][]>({ sql, values: [...params], rowsAsArray: true });
    const [rows] = await withDeadline(timeoutMs, answer, () => {
      throw new SilentServer(`no answer within ${timeoutMs} ms`);
    });
    return Array.isArray(rows) ? rows[0]?.[0] : undefined;
  }
}

export interface DatabaseLockOptions {
  readonly server: MysqlServer;
  readonly clock: Clock;
  /** Deadline of each question, in milliseconds. More than a second, less than `idleSeconds`. */
  readonly timeoutMs: number;
}

const askMs = 1_000;
const idleSeconds = 10;
