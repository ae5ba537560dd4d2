import type { Timeline } from '../timeline.ts';
import { type Committed, type CommitReport, DatabaseServer } from './server.ts';

/** The address of the database, and the server that answers there just now. */
export class DatabaseService {
  readonly #timeline: Timeline;
  readonly #options: DatabaseServiceOptions;
  readonly #past: Committed[] = [];
  /** How far each replica has come. */
  readonly #shown = new Map<number, number>();
  readonly #lost = new Set<() => void>();
  #origins = 1;
  #server: DatabaseServer;
  #reachable = true;

  constructor(timeline: Timeline, committed: Committed, options: DatabaseServiceOptions) {
    this.#timeline = timeline;
    this.#options = options;
    this.#server = this.#start(committed);
  }

  get server(): DatabaseServer {
    return this.#server;
  }

  get reachable(): boolean {
    return this.#reachable;
  }

  /** `lost` is called when the server dies. Returns how to stop listening. */
  onLost(lost: () => void): () => void {
    this.#lost.add(lost);
    return () => this.#lost.delete(lost);
  }

  /** The server dies, and comes back after `downMs` with all that was committed. */
  restart(downMs: number): void {
    // It cannot die twice.
    if (!this.#reachable) return;
    this.#stop();
    this.#timeline.after(downMs, () => this.#comeBack(this.#server.committed));
  }

  /** The server dies for good; after `downMs` another one answers, which has not heard of the last commits. */
  failOver(downMs: number, missing: number): void {
    if (!this.#reachable) return;
    this.#stop();
    this.#timeline.after(downMs, () => {
      this.#origins += 1;
      const kept = this.#past.slice(0, Math.max(1, this.#past.length - missing));
      this.#past.length = 0;
      this.#shown.clear();
      this.#comeBack(kept.at(-1) ?? this.#server.committed);
      this.#options.onFailOver(this.#server.committed, this.#server.origin);
    });
  }

  /** Where the log stands: its line of history, and how many commits there were. */
  get position(): string {
    return `${this.#server.origin} ${this.#past.length}`;
  }

  /**
   * What a replica shows that must have come to `position`: some state between that and the newest, and never an earlier one
   * than the same replica has shown. `undefined` when it has not come so far.
   */
  shownBy(
    replica: number,
    position: string,
    chance: (share: number) => boolean,
    pick: (below: number) => number,
  ): Committed | undefined {
    const [origin, number] = position.split(' ');
    if (origin !== this.#server.origin) return undefined;
    if (this.#options.replicasUnasked) return this.#past[pick(this.#past.length)];
    const known = this.#shown.get(replica) ?? 1;
    const reached = known + (chance(0.5) ? pick(this.#past.length - known + 1) : 0);
    // Or it comes so far while it is waited for.
    const shown = reached < Number(number) && chance(0.5) ? Number(number) : reached;
    this.#shown.set(replica, shown);
    return shown < Number(number) ? undefined : this.#past[shown - 1];
  }

  #stop(): void {
    this.#reachable = false;
    this.#server.stop();
    for (const lost of this.#lost) lost();
  }

  #comeBack(committed: Committed): void {
    this.#server = this.#start(committed);
    this.#reachable = true;
  }

  #start(committed: Committed): DatabaseServer {
    this.#past.push(committed);
    const origin = this.#options.sameOrigin ? 'db' : `db${this.#origins}`;
    return new DatabaseServer(origin, committed, (report) => {
      this.#past.push(report.after);
      this.#options.onCommit(report);
    });
  }
}

export interface DatabaseServiceOptions {
  readonly onCommit: (report: CommitReport) => void;
  readonly onFailOver: (committed: Committed, origin: string) => void;
  /** A mutation: another database cannot be told from the one before. */
  readonly sameOrigin: boolean;
  /** A mutation: a replica answers whatever it shows. */
  readonly replicasUnasked: boolean;
}
