import { createHash } from 'node:crypto';
import type { Post } from '../../client/src/client.ts';
import { FakeSocket } from './fake-socket.ts';
import type { ManualTiming } from './manual-timing.ts';

type Told = { readonly event: string; readonly data: unknown; readonly place?: unknown };
type Logged = Told & { readonly offset: number; readonly version: number };
/** A change that is committed, and not told yet. */
type Pending = Told & {
  readonly id: number;
  readonly epoch: number;
  readonly version: number;
  readonly committedAt: number;
};
type Request = {
  readonly path: string;
  readonly etag: string | undefined;
  answer: Response | undefined;
  readonly resolve: (response: Response) => void;
  readonly reject: (error: Error) => void;
};

/**
 * The service as one of its clients knows it (docs/events.md), in one thread, where each thing happens when a test says so:
 * reads arrive and are answered, changes are told, connections come and go.
 */
export class SimulatedService {
  readonly #timing: ManualTiming;
  readonly rows = new Map<number, Post>();
  /** Titles of a row, in the order of its changes. */
  readonly history = new Map<number, string[]>();
  socket: FakeSocket | undefined;
  #nextId = 1;
  #epoch = 1;
  #counter = 0;
  #log: Logged[] = [];
  #first = 0;
  #tail = 0;
  #mustRenew = false;
  readonly #pending: Pending[] = [];
  readonly #requests: Request[] = [];
  /** On their way to the client. */
  #outgoing: (Told & { readonly since: number })[] = [];
  /** The longest that a client that was connected has waited to hear of a change. */
  longestLagMs = 0;

  constructor(timing: ManualTiming) {
    this.#timing = timing;
  }

  readonly openSocket = (_origin: string, auth: FakeSocket['auth']): FakeSocket => {
    this.socket = new FakeSocket(auth);
    return this.socket;
  };

  readonly fetch = (input: unknown, init: RequestInit = {}): Promise<Response> =>
    new Promise((resolve, reject) => {
      const etag = new Headers(init.headers).get('if-none-match') ?? undefined;
      const request: Request = {
        path: String(input).replace('http://service', ''),
        etag,
        answer: undefined,
        resolve,
        reject,
      };
      this.#requests.push(request);
      init.signal?.addEventListener('abort', () => this.#end(request, () => reject(new Error('aborted'))));
    });

  get isQuiet(): boolean {
    const isListening = this.socket === undefined || this.socket.isConnected;
    return isListening && this.isIdle;
  }

  /** Nothing is left to be told or answered. */
  get isIdle(): boolean {
    return this.#requests.length === 0 && this.isTold;
  }

  get isTold(): boolean {
    return this.#pending.length === 0 && this.#outgoing.length === 0;
  }

  /** The paths that are asked for, and not answered yet. */
  get waiting(): string[] {
    return this.#requests.map(({ path }) => path);
  }

  get oldestUntoldMs(): number {
    const times = [...this.#pending.map(({ committedAt }) => committedAt), ...this.#outgoing.map(({ since }) => since)];
    return this.#timing.now() - Math.min(this.#timing.now(), ...times);
  }

  insert(age: number): void {
    const id = this.#nextId;
    this.#nextId += 1;
    this.history.set(id, []);
    this.#commit('new_post', { ...this.#rowOf(id), created_at: this.#stamp(-age) });
  }

  update(pick: number): void {
    const row = this.#pick(pick);
    if (row !== undefined) this.#commit('post_updated', { ...row, ...this.#changesOf(row.id) });
  }

  /** By a program that tells nobody. */
  changeSilently(id: number): void {
    const row = this.rows.get(id);
    if (row !== undefined) this.rows.set(id, { ...row, ...this.#changesOf(id) });
  }

  delete(pick: number): void {
    const row = this.#pick(pick);
    if (row === undefined) return;
    this.rows.delete(row.id);
    this.#pend('post_deleted', row.id, { id: row.id });
  }

  /** A committed change comes into the log. */
  append(pick: number): void {
    const [told] = this.#pending.splice(pick % Math.max(1, this.#pending.length), 1);
    if (told === undefined) return;
    if (this.#mustRenew) this.renew();
    this.#counter += 1;
    this.#tail = this.#counter;
    const version = told.epoch === this.#epoch ? told.version : this.#counter;
    const logged = { ...told, offset: this.#tail, version };
    this.#log.push(logged);
    if (this.socket?.isConnected === true) this.#send(placed(logged, this.#epoch), told.committedAt);
  }

  /** While the log is away: to the clients of one instance, which is this client's or another one's. */
  tellHere(pick: number, isHere: boolean): void {
    const [told] = this.#pending.splice(pick % Math.max(1, this.#pending.length), 1);
    if (told === undefined) return;
    this.#mustRenew = true;
    const place = { epoch: null, offset: null, version: null };
    if (isHere && this.socket?.isConnected === true) this.#send({ ...told, place }, told.committedAt);
  }

  /** Another epoch begins, at a moment or by the loss of the log. */
  renew(): void {
    this.#mustRenew = false;
    this.#epoch += 1;
    this.#log = [];
    [this.#counter, this.#first, this.#tail] = [0, 0, 0];
    if (this.socket?.isConnected === true) this.#send(this.#session(false));
  }

  renewIfDue(): void {
    if (this.#mustRenew) this.renew();
  }

  trim(): void {
    this.#log.splice(0, Math.ceil(this.#log.length / 2));
    this.#first = (this.#log[0]?.offset ?? this.#tail + 1) - 1;
  }

  deliver(): void {
    const told = this.#outgoing.shift();
    if (told === undefined) return;
    this.longestLagMs = Math.max(this.longestLagMs, this.#timing.now() - told.since);
    this.socket?.hear(told.event, told.data, told.place);
  }

  /** The client connects, and is sent what it has missed, all of it or only `most` events before the service gives up. */
  accept(most = Infinity): void {
    const { socket } = this;
    if (socket?.isWanted !== true) return;
    const { epoch, offset = -1 } = socket.auth();
    socket.accept();
    const isHeld = epoch === String(this.#epoch) && offset >= this.#first && offset <= this.#tail;
    const missed = isHeld ? this.#log.filter((each) => each.offset > offset) : [];
    for (const each of missed.slice(0, most)) this.#send(placed(each, this.#epoch));
    this.#send(this.#session(isHeld && missed.length <= most));
  }

  refuse(isForGood: boolean): void {
    if (this.socket?.isWanted === true) this.socket.refuse(isForGood);
  }

  cut(isForGood: boolean): void {
    this.#outgoing = [];
    if (this.socket?.isConnected === true) this.socket.cut(isForGood);
  }

  /** The instance stops. */
  drain(delayMs: number): void {
    if (this.socket?.isConnected === true) this.#send({ event: 'energex:drain', data: { delayMs } });
  }

  /** A read sees the rows as they are now; its answer is still on its way. */
  read(pick: number): void {
    const waiting = this.#requests.filter(({ answer }) => answer === undefined);
    const request = waiting[pick % Math.max(1, waiting.length)];
    if (request !== undefined) request.answer = this.#answer(request);
  }

  answer(pick: number): void {
    const done = this.#requests.filter(({ answer }) => answer !== undefined);
    const request = done[pick % Math.max(1, done.length)];
    if (request?.answer !== undefined) this.#end(request, () => request.resolve(request.answer ?? Response.error()));
  }

  /** A request comes to nothing: no answer at all, or one that says so. */
  fail(pick: number, status: number): void {
    const request = this.#requests[pick % Math.max(1, this.#requests.length)];
    if (request === undefined) return;
    const refusal = JSON.stringify({ status, code: 'DATABASE_UNAVAILABLE', message: 'not now' });
    this.#end(request, () => {
      if (status === 0) request.reject(new TypeError('fetch failed'));
      else request.resolve(new Response(refusal, { status, headers: { 'retry-after': '1' } }));
    });
  }

  /** What a read of all, or of the newest, would show. */
  list(limit = Infinity): Post[] {
    const byAge = [...this.rows.values()].sort(
      (a, b) => String(b.created_at).localeCompare(String(a.created_at)) || b.id - a.id,
    );
    return byAge.slice(0, limit);
  }

  #answer({ path, etag }: Request): Response {
    const id = /^\/cache\/posts\/(\d+)$/.exec(path)?.[1];
    if (id !== undefined && !this.rows.has(Number(id))) {
      return new Response(JSON.stringify({ code: 'NOT_FOUND', message: 'Post not found' }), { status: 404 });
    }
    const limit = Number(/[?&]limit=(\d+)/.exec(path)?.[1] ?? Infinity);
    const data = id === undefined ? this.list(limit) : this.rows.get(Number(id));
    const tag = `"${createHash('sha256').update(JSON.stringify(data)).digest('hex')}"`;
    const link: Record<string, string> = this.rows.size > limit ? { link: `<${path}&after=x>; rel="next"` } : {};
    const headers = { etag: tag, ...link };
    if (tag === etag) return new Response(null, { status: 304, headers });
    return new Response(JSON.stringify({ data, source: 'cache' }), { status: 200, headers });
  }

  #end(request: Request, settle: () => void): void {
    const at = this.#requests.indexOf(request);
    if (at < 0) return;
    this.#requests.splice(at, 1);
    settle();
  }

  #commit(event: string, row: Post): void {
    this.rows.set(row.id, row);
    this.#pend(event, row.id, row);
  }

  #pend(event: string, id: number, data: unknown): void {
    this.#counter += 1;
    const committedAt = this.#timing.now();
    this.#pending.push({ event, id, data, epoch: this.#epoch, version: this.#counter, committedAt });
  }

  #send(told: Told, since = this.#timing.now()): void {
    this.#outgoing.push({ event: told.event, data: told.data, place: told.place, since });
  }

  #session(recovered: boolean): Told {
    return { event: 'energex:session', data: { epoch: String(this.#epoch), offset: this.#tail, recovered } };
  }

  #pick(pick: number): Post | undefined {
    return [...this.rows.values()][pick % Math.max(1, this.rows.size)];
  }

  #rowOf(id: number): Post {
    const user = { id: 1, name: 'Ada', email: 'ada@example.com' };
    return { id, content: 'c', created_at: null, user_id: 1, user, ...this.#changesOf(id) };
  }

  #changesOf(id: number): Pick<Post, 'title' | 'updated_at'> {
    const titles = this.history.get(id) ?? [];
    titles.push(`${id}.${titles.length}`);
    return { title: titles.at(-1) ?? '', updated_at: this.#stamp(0) };
  }

  /** To the second, as the database has it. */
  #stamp(afterMs: number): string {
    return new Date(Date.UTC(2025, 0, 2) + this.#timing.now() + afterMs).toISOString().replace(/\.\d+/, '');
  }
}

function placed({ event, data, offset, version }: Logged, epoch: number): Told {
  return { event, data, place: { epoch: String(epoch), offset, version } };
}
