import { OutcomeUnknown } from '../../../src/cache/write-fence.ts';
import type { LoadAnswer } from '../../../src/database/channels.ts';
import type { Since } from '../../../src/cache/store.ts';
import type {
  Database,
  Dialect,
  Executed,
  LoadedRows,
  Queryable,
  Row,
  SqlValue,
  TransactionOptions,
  Work,
} from '../../../src/database/database.ts';
import type { Host } from '../host.ts';
import type { DatabaseServer } from './server.ts';
import type { DatabaseService } from './service.ts';
import { Refusal, Session, type SessionOptions, unavailable } from './session.ts';
import type { Result } from './statements.ts';

/** The database as one instance reaches it: it behaves as `src/database/mysql.ts` does. */
export class SimulatedDatabase implements Database {
  readonly dialect: Dialect = {
    name: 'mysql',
    integer: '?',
    forUpdate: ' FOR UPDATE',
    forShare: ' LOCK IN SHARE MODE',
  };
  readonly #host: Host;
  readonly #service: DatabaseService;
  readonly #options: DatabaseOptions;
  readonly #sessions = new Set<Session>();
  readonly #stopListening: () => void;
  #server: DatabaseServer | undefined;
  #cutUntil = 0;
  #origin = '';

  constructor(host: Host, service: DatabaseService, options: DatabaseOptions) {
    this.#host = host;
    this.#service = service;
    this.#options = options;
    this.#stopListening = service.onLost(() => this.#lose('the server is gone'));
  }

  get origin(): string {
    return this.#origin;
  }

  async query(sql: string, params: readonly SqlValue[] = []): Promise<Row[]> {
    return (await this.#autocommit(sql, params)).rows;
  }

  async execute(sql: string, params: readonly SqlValue[] = []): Promise<Executed> {
    return (await this.#autocommit(sql, params)).executed;
  }

  /** As `src/database/replicated.ts` does it, when there are replicas. */
  async load(sql: string, params: readonly SqlValue[], since?: Since): Promise<LoadedRows> {
    if (since === undefined || this.#options.replicas === 0) return { rows: await this.query(sql, params) };
    if (since.position === undefined) {
      this.#options.onLoad('unknown');
      const rows = await this.query(sql, params);
      return { rows, position: await this.#onSession(async () => this.#service.position) };
    }
    const rows = await this.#askReplica(params, since.position);
    this.#options.onLoad(rows === undefined ? 'behind' : 'replica');
    return { rows: rows ?? (await this.query(sql, params)) };
  }

  /** The row of `statements.read`. */
  async #askReplica([key]: readonly SqlValue[], position: string): Promise<Row[] | undefined> {
    const { random, timeline } = this.#host;
    const answered = Promise.withResolvers<Row[] | undefined>();
    timeline.after(random.between(0.2, 2) * this.#options.delayMs, () => {
      const shown = this.#service.shownBy(
        random.below(this.#options.replicas),
        position,
        (share) => random.chance(share),
        (below) => random.below(below),
      );
      const rows = shown && [[this.#options.valueOf(String(key), shown)]];
      this.#host.after(random.between(0.2, 2) * this.#options.delayMs, () => answered.resolve(rows));
    });
    return await answered.promise;
  }

  async transaction<T>(work: Work<T>, options: TransactionOptions = {}): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#onSession((session) => this.#transactOnce(session, work, options));
      } catch (error) {
        if (!(error instanceof Refusal && error.isDeadlock) || attempt === mostAttempts) throw error;
      }
    }
  }

  async ping(): Promise<void> {
    await this.#connect();
  }

  async close(): Promise<void> {
    this.#lose('closed');
    this.#stopListening();
  }

  /** Fault: all connections are lost, and none can be made for `ms` milliseconds. */
  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#host.timeline.now + ms);
    this.#lose('connection reset');
  }

  #lose(reason: string): void {
    this.#server = undefined;
    for (const session of this.#sessions) session.lose(reason);
    this.#sessions.clear();
  }

  /** A statement of its own, committed when it was run. */
  async #autocommit(sql: string, params: readonly SqlValue[]): Promise<Result> {
    return await this.#onSession(async (session) => {
      try {
        const result = await session.run(sql, params);
        if (!/^(READ|SELECT)/.test(sql)) await session.commit(this.#options.delayMs);
        return result;
      } finally {
        session.rollback();
      }
    });
  }

  async #transactOnce<T>(session: Session, work: Work<T>, { opening, committedAt }: TransactionOptions): Promise<T> {
    let result: T;
    try {
      const opened = opening === undefined ? [] : (await session.run(opening, [])).rows;
      const transaction: Queryable = {
        query: async (sql, params = []) => (await session.run(sql, params)).rows,
        execute: async (sql, params = []) => (await session.run(sql, params)).executed,
      };
      result = await work(transaction, opened);
    } catch (error) {
      session.rollback();
      throw error;
    }
    const { random } = this.#host;
    const slow = session.hasChanges && random.chance(this.#options.slowCommits);
    try {
      const position = await session.commit(
        slow ? random.between(0, this.#options.longestCommitMs / 2) : this.#options.delayMs,
      );
      if (this.#options.replicas > 0) committedAt?.(position);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      session.lose('COMMIT was not answered');
      throw new OutcomeUnknown('COMMIT was not answered', { cause: error });
    }
    return result;
  }

  async #onSession<T>(use: (session: Session) => Promise<T>): Promise<T> {
    const server = this.#server ?? (await this.#connect());
    const session = new Session(this.#host, server, this.#options);
    this.#sessions.add(session);
    try {
      return await use(session);
    } finally {
      this.#sessions.delete(session);
    }
  }

  /** One round trip, after which it is known which database answers. */
  #connect(): Promise<DatabaseServer> {
    const { timeline, random } = this.#host;
    return new Promise((resolve, reject) => {
      this.#host.after(random.between(0.5, 4) * this.#options.delayMs, () => {
        const { server, reachable } = this.#service;
        if (!reachable || timeline.now < this.#cutUntil) {
          reject(unavailable('connection refused'));
          return;
        }
        this.#server = server;
        this.#origin = server.origin;
        this.#options.onConnect(server.origin);
        resolve(server);
      });
    });
  }
}

export interface DatabaseOptions extends SessionOptions {
  /** Share of the COMMITs that take long. */
  readonly slowCommits: number;
  /** No COMMIT is under way for longer. */
  readonly longestCommitMs: number;
  /** 0: none, and nobody learns where the log stands. */
  readonly replicas: number;
  readonly onLoad: (answer: LoadAnswer) => void;
  readonly onConnect: (origin: string) => void;
}

const mostAttempts = 4;
