import { io, type Socket } from 'socket.io-client';
import { eventually } from '../harness/eventually.ts';
import type { Cluster } from './cluster.ts';
import { memberOf } from './http-client.ts';
import type { Operation } from './history.ts';

/**
 * A client of live events at each instance, which comes back with its position, to another instance if need be, as the
 * browser client does. What it was not told of must be covered by its being told to read anew.
 */
export class Listeners {
  readonly #listeners: Listener[];

  constructor(cluster: Cluster) {
    this.#listeners = cluster.instances.map((_, index) => new Listener(cluster, index));
  }

  async connected(): Promise<void> {
    await eventually(async () => this.#listeners.every(({ sessions }) => sessions > 0));
  }

  /** Of the acknowledged writes, those that a listener neither heard of nor was told to read anew for. */
  async missed(writes: readonly Operation[]): Promise<string[]> {
    const find = (): string[] => this.#listeners.flatMap((each) => each.missed(writes));
    // The last ones may still be on their way.
    const settled = eventually(async () => find().length === 0, patienceMs);
    await settled.catch(() => undefined);
    return find();
  }

  get readAnew(): number {
    return this.#listeners.reduce((sum, { gaps }) => sum + gaps.length, 0);
  }

  close(): void {
    for (const each of this.#listeners) each.close();
  }
}

const patienceMs = 5_000;
const againMs = 100;

class Listener {
  readonly #cluster: Cluster;
  readonly #heard = new Set<string>();
  /** When it was told that it may have missed something. */
  readonly gaps: number[] = [];
  sessions = 0;
  #at: number;
  #position: { epoch: string | null; offset: number } = { epoch: null, offset: 0 };
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(cluster: Cluster, at: number) {
    this.#cluster = cluster;
    this.#at = at;
    this.#connect();
  }

  missed(writes: readonly Operation[]): string[] {
    const last = this.gaps.at(-1) ?? -Infinity;
    return writes
      .filter(({ invokedAt }) => invokedAt > last)
      .filter(({ key, value }) => !this.#heard.has(value ?? removalOf(key)))
      .map(({ key, value, by }) => `a listener did not hear that ${value ?? 'nothing'} was written to ${key} by ${by}`);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.removeAllListeners();
    this.#socket?.close();
  }

  #connect(): void {
    const { instances } = this.#cluster;
    const url = instances[this.#at % instances.length]?.url;
    if (url === undefined) return this.#later();
    const socket = io(url, { forceNew: true, reconnection: false, transports: ['websocket'], auth: this.#position });
    this.#socket = socket;
    socket.on('energex:session', ({ epoch, offset, recovered }) => {
      this.sessions += 1;
      if (recovered === true) return;
      if (this.#position.epoch !== null) this.gaps.push(performance.now());
      this.#position = { epoch, offset };
    });
    socket.onAny((event: string, data: unknown, place: unknown) => {
      if (event.startsWith('energex:')) return;
      this.#heard.add(
        event === 'post_deleted' ? removalOf(String(memberOf(data, 'id'))) : String(memberOf(data, 'title')),
      );
      const [epoch, offset] = [memberOf(place, 'epoch'), memberOf(place, 'offset')];
      if (typeof epoch === 'string' && typeof offset === 'number') this.#position = { epoch, offset };
    });
    socket.on('disconnect', () => this.#later());
    socket.on('connect_error', () => this.#later());
  }

  #later(): void {
    this.#socket?.removeAllListeners();
    this.#socket?.close();
    if (this.#closed) return;
    this.#at += 1;
    this.#timer = setTimeout(() => this.#connect(), againMs);
  }
}

function removalOf(id: string): string {
  return `removal of ${id}`;
}
