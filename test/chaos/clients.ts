import type { Chance } from './chance.ts';
import { type Cluster, initialTitle, type Instance } from './cluster.ts';
import { type QuietWriter, quietPrefix } from './fault.ts';
import { History, type Value } from './history.ts';
import { type Answer, memberOf } from './http-client.ts';

/**
 * Concurrent clients, each of which asks now this and now that instance, and note what they did and were told. All they
 * do is chosen by the seed; what they meet depends on the machine.
 */
export class Clients implements QuietWriter {
  readonly history = new History();
  readonly counts = { reads: 0, hits: 0, writes: 0, unknown: 0, refused: 0, unanswered: 0 };
  /** Answers that the contract knows nothing of. */
  readonly unexpected: string[] = [];
  readonly #cluster: Cluster;
  readonly #chance: Chance;
  /** Ids of rows that come and go, the newest last. */
  readonly #visitors: string[] = [];
  /** Of all operations. Where little is written, what is wrong in the cache stays there for longer. */
  readonly #updateShare: number;
  readonly #busyRows: readonly string[];
  readonly #quietRows: readonly string[];
  readonly #met: Set<string>;
  #greatest: bigint;
  #count = 0;
  #going = false;
  #loops: Promise<void>[] = [];

  constructor(cluster: Cluster, chance: Chance) {
    this.#cluster = cluster;
    this.#chance = chance;
    this.#updateShare = chance.pick([0.04, 0.2]);
    this.#quietRows = cluster.rows.slice(-quietCount);
    this.#busyRows = cluster.rows.slice(0, -quietCount);
    this.#met = new Set([
      ...cluster.rows,
      ...cluster.instances.flatMap(({ probeRow, writtenRow }) => [probeRow, writtenRow]),
    ]);
    this.#greatest = BigInt(Math.max(...cluster.rows.map(Number)));
    for (const id of cluster.rows) this.history.track(id, initialTitle(id));
  }

  start(clients = clientCount): void {
    this.#going = true;
    this.#loops = Array.from({ length: clients }, (_, index) => this.#loop(`client ${index + 1}`, this.#chance.fork()));
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#loops);
  }

  async writeQuietly(instance: Instance): Promise<void> {
    const id = this.#chance.pick(this.#quietRows);
    const value = quietPrefix + this.#unique(id);
    const written = this.#write(instance, id, value, 'the fault', ['PUT', { title: value, content: value }]);
    this.#loops.push(written.then(() => undefined));
    if (!(await written)) await new Promise((resolve) => setTimeout(resolve, pauseAfterFailureMs[0]));
  }

  /** What an instance tells of every row, and of the lists. */
  async readAll(instance: Instance): Promise<void> {
    const by = 'the last look';
    await Promise.all(this.history.keys.map((id) => this.#read(instance, id, by)));
    for (const path of lists) await this.#readList(instance, path, by);
  }

  async #loop(by: string, chance: Chance): Promise<void> {
    while (this.#going) {
      const wentWell = await this.#step(by, chance, chance.pick(this.#cluster.instances));
      const [least, more] = wentWell ? pauseMs : pauseAfterFailureMs;
      await new Promise((resolve) => setTimeout(resolve, least + chance.next() * more));
    }
  }

  #step(by: string, chance: Chance, instance: Instance): Promise<boolean> {
    const dice = chance.next();
    if (dice < this.#updateShare) return this.#update(instance, chance.pick(this.#busyRows), by);
    if (dice < 0.7) return this.#read(instance, chance.pick(this.#cluster.rows), by);
    if (dice < 0.82) return this.#readList(instance, chance.pick(lists), by);
    return this.#stepWithVisitors(by, chance, instance);
  }

  /** Rows that are created and removed, and those that are read before they are there. */
  #stepWithVisitors(by: string, chance: Chance, instance: Instance): Promise<boolean> {
    const dice = chance.next();
    const visitor = this.#visitors.length === 0 ? undefined : chance.pick(this.#visitors);
    if (visitor === undefined) return this.#create(instance, by);
    if (dice < 0.4) return this.#read(instance, this.#next(chance.below(2)), by);
    if (dice < 0.7) return this.#read(instance, visitor, by);
    if (dice < 0.8) return this.#update(instance, visitor, by);
    if (this.#visitors.length < chance.below(mostVisitors)) return this.#create(instance, by);
    return this.#remove(instance, visitor, by);
  }

  /** An id that the next creation may get: to have it cached that there is no such row. */
  #next(ahead: number): string {
    return String(this.#greatest + 1n + BigInt(ahead));
  }

  async #read(instance: Instance, id: string, by: string): Promise<boolean> {
    this.history.track(id, null);
    const invokedAt = performance.now();
    const answer = await instance.http.send('GET', `/cache/posts/${id}`);
    const respondedAt = performance.now();
    this.counts.reads += 1;
    if (!this.#isAnswer(answer, [200, 404], `GET of row ${id} at ${instance.name}`)) return false;
    if (memberOf(answer.json, 'source') === 'cache') this.counts.hits += 1;
    const value = answer.status === 404 ? null : this.#valueOf(memberOf(answer.json, 'data'));
    const where = `${by} at ${instance.name}`;
    this.history.add({ key: id, kind: 'read', value, invokedAt, respondedAt, outcome: 'ok', by: where });
    return true;
  }

  async #readList(instance: Instance, path: string, by: string): Promise<boolean> {
    const invokedAt = performance.now();
    const answer = await instance.http.send('GET', path);
    const respondedAt = performance.now();
    this.counts.reads += 1;
    if (!this.#isAnswer(answer, [200], `GET ${path} at ${instance.name}`)) return false;
    if (memberOf(answer.json, 'source') === 'cache') this.counts.hits += 1;
    const data = memberOf(answer.json, 'data');
    if (!Array.isArray(data)) {
      this.#complain(`${path} at ${instance.name} has no rows`);
      return false;
    }
    const rows = new Map(data.map((post): [string, Value] => [String(memberOf(post, 'id')), this.#valueOf(post)]));
    for (const id of rows.keys()) this.meet(id);
    const complete = rows.size < pageSize;
    this.history.lists.push({ rows, complete, invokedAt, respondedAt, by: `${by} at ${instance.name} (${path})` });
    return true;
  }

  /** Both texts of a row are written together, so they are read together. */
  #valueOf(post: unknown): Value {
    const title = String(memberOf(post, 'title'));
    const content = String(memberOf(post, 'content'));
    return title === content ? title : `${title} with the content ${content}`;
  }

  #update(instance: Instance, id: string, by: string): Promise<boolean> {
    const value = this.#unique(id);
    return this.#write(instance, id, value, by, ['PUT', { title: value, content: value }]);
  }

  async #remove(instance: Instance, id: string, by: string): Promise<boolean> {
    const index = this.#visitors.indexOf(id);
    if (index !== -1) this.#visitors.splice(index, 1);
    return await this.#write(instance, id, null, by, ['DELETE', { user_id: 1 }]);
  }

  async #write(
    instance: Instance,
    id: string,
    value: Value,
    by: string,
    [method, body]: readonly [string, unknown],
  ): Promise<boolean> {
    const invokedAt = performance.now();
    const answer = await instance.http.send(method, `/cache/posts/${id}`, body);
    const respondedAt = performance.now();
    this.counts.writes += 1;
    const told = { key: id, invokedAt, by: `${by} at ${instance.name}` };
    if (this.#isAnswer(answer, [200, 404], `${method} of row ${id} at ${instance.name}`)) {
      // That there is no such row was read under lock.
      const done =
        answer.status === 404 ? ({ kind: 'read', value: null } as const) : ({ kind: 'write', value } as const);
      this.history.add({ ...told, ...done, respondedAt, outcome: 'ok' });
      return true;
    }
    const outcome = this.#outcomeOf(answer);
    const end = outcome === 'unknown' ? Infinity : respondedAt;
    this.history.add({ ...told, kind: 'write', value, respondedAt: end, outcome });
    return false;
  }

  async #create(instance: Instance, by: string): Promise<boolean> {
    const value = this.#unique('new');
    const invokedAt = performance.now();
    const answer = await instance.http.send('POST', '/cache/posts', { title: value, content: value, user_id: 1 });
    const respondedAt = performance.now();
    this.counts.writes += 1;
    const told = { value, invokedAt, by: `${by} at ${instance.name}` };
    if (this.#isAnswer(answer, [201], `POST at ${instance.name}`)) {
      const id = String(memberOf(memberOf(answer.json, 'data'), 'id'));
      this.meet(id);
      this.history.add({ ...told, key: id, kind: 'write', respondedAt, outcome: 'ok' });
      return true;
    }
    this.history.addCreation({ ...told, outcome: this.#outcomeOf(answer) });
    return false;
  }

  /** A row that someone has created. The probes' rows are met already, and not tracked. */
  meet(id: string): void {
    if (this.#met.has(id)) return;
    this.#met.add(id);
    this.history.track(id, null);
    this.#visitors.push(id);
    if (BigInt(id) > this.#greatest) this.#greatest = BigInt(id);
  }

  #unique(of: string): string {
    this.#count += 1;
    return `k${of}-w${this.#count}`;
  }

  /** Whether it is one of those that a client works with; 503 is an answer too, but to nothing. */
  #isAnswer(answer: Answer, statuses: readonly number[], what: string): answer is Answer & { kind: 'answered' } {
    if (answer.kind === 'lost') {
      this.counts.unanswered += 1;
      if (answer.reason === 'no answer in time') this.#complain(`${what}: ${answer.reason}`);
      return false;
    }
    if (statuses.includes(answer.status)) return true;
    if (answer.status !== 503) this.#complain(`${what}: ${answer.status} ${JSON.stringify(answer.json)}`);
    return false;
  }

  #outcomeOf(answer: Answer): 'failed' | 'unknown' {
    const isCertain = answer.kind === 'lost' ? answer.neverSent : refusals.has(String(memberOf(answer.json, 'code')));
    if (isCertain) this.counts.refused += 1;
    else this.counts.unknown += 1;
    return isCertain ? 'failed' : 'unknown';
  }

  #complain(text: string): void {
    if (this.unexpected.length < mostComplaints) this.unexpected.push(text);
  }
}

const clientCount = 14;
/** Least, and how much more by chance, in milliseconds. */
const pauseMs = [2, 14] as const;
const pauseAfterFailureMs = [40, 80] as const;
const quietCount = 2;
const mostVisitors = 12;
const mostComplaints = 20;
const pageSize = 100;
/** The whole list, and a page that is long enough for all rows: they are different entries under one guard. */
const lists = ['/cache/posts', `/cache/posts?limit=${pageSize}`];
/** A write that is refused with one of these had no effect: see docs/errors.md. */
const refusals = new Set(['CACHE_UNREACHABLE', 'DATABASE_BUSY', 'DATABASE_UNAVAILABLE']);
