import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startBalancer } from '../../harness/balancer.ts';
import { createSchema, type DatabaseSchema } from '../../harness/database-schema.ts';
import { openMysql } from '../../harness/databases.ts';
import { eventually } from '../../harness/eventually.ts';
import { type LeakCheck, trackLeaks } from '../../harness/leaks.ts';
import { type RedisServer, startRedis } from '../../harness/redis-server.ts';
import { environmentOf } from '../../harness/service.ts';
import { type ServiceProcess, startServiceProcess } from '../../harness/service-process.ts';
import { sharedDatabases } from '../../harness/shared-servers.ts';
import { insertPost, insertUsers } from '../../harness/stage.ts';
import { stopAfterEach } from '../../harness/stops.ts';
import { Follower, KeepAliveClient } from './clients.ts';

/**
 * Three instances are replaced, one after the other, as a deployment does it: another one is started and waited for, then the old
 * one is taken out of turn and told to end. Meanwhile readers and writers ask over connections that they keep, nothing is tried
 * again, and live clients follow.
 */
const stops = stopAfterEach();
const writers = 3;
const readers = 6;
/** Of requests by each writer between two steps, so that each step sees load. */
const enough = 15;

let leaks: LeakCheck;
let redis: RedisServer;
let schema: DatabaseSchema;

beforeAll(async () => {
  leaks = trackLeaks();
  const [server] = sharedDatabases();
  if (server === undefined) throw new Error('no database');
  [redis, schema] = await Promise.all([startRedis(), createSchema(server)]);
});

afterAll(async () => {
  await Promise.all([redis.stop(), schema.drop()]);
  await leaks.check();
});

async function start(): Promise<ServiceProcess> {
  const service = await startServiceProcess({
    environment: { ...environmentOf(redis, schema), LOG_REQUESTS: 'false', SOCKETS_PER_ADDRESS: '100' },
  });
  stops.push(service.stop);
  await eventually(async () => (await service.get('/readyz?verbose')).text.includes('redis ok'), 20_000);
  return service;
}

/** What went wrong, for each request that did. */
class Load {
  readonly #url: string;
  readonly wrong: string[] = [];
  /** The greatest number that was acknowledged for each post. */
  readonly #acknowledged = new Map<number, number>();
  readonly written: string[] = [];
  reads = 0;
  slowestMs = 0;
  readonly #working: Promise<void>[] = [];
  #isOver = false;

  constructor(url: string) {
    this.#url = url;
  }

  begin(): void {
    for (let writer = 1; writer <= writers; writer += 1) this.#working.push(this.#write(writer));
    for (let reader = 0; reader < readers; reader += 1) this.#working.push(this.#read(reader));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#working);
  }

  /** One post is changed again and again, and now and then another one is made. */
  async #write(post: number): Promise<void> {
    const client = new KeepAliveClient(this.#url, 1);
    for (let count = 1; !this.#isOver; count += 1) {
      const title = `post ${post} number ${count}`;
      await this.#try('PUT', async () => {
        const { status, body } = await client.ask('PUT', `/cache/posts/${post}`, { title });
        if (status !== 200) return `PUT was answered ${status} ${JSON.stringify(body)}`;
        this.#acknowledged.set(post, count);
        this.written.push(title);
        return undefined;
      });
      if (count % 5 !== 0) continue;
      const created = `by ${post} at ${count}`;
      await this.#try('POST', async () => {
        const { status, body } = await client.ask('POST', '/cache/posts', { title: created, content: 'c', user_id: 1 });
        if (status !== 201) return `POST was answered ${status} ${JSON.stringify(body)}`;
        this.written.push(created);
        return undefined;
      });
    }
    client.close();
  }

  /** Some never pause, some do for as long as a person. */
  async #read(reader: number): Promise<void> {
    const client = new KeepAliveClient(this.#url, 1);
    for (let count = 0; !this.#isOver; count += 1) {
      const post = 1 + (count % writers);
      const least = this.#acknowledged.get(post) ?? 0;
      await this.#try('GET', async () => {
        const { status, body } = await client.ask('GET', `/cache/posts/${post}`);
        this.reads += 1;
        if (status !== 200) return `GET was answered ${status} ${JSON.stringify(body)}`;
        const number = Number(/number (\d+)$/.exec(body.data.title)?.[1] ?? 0);
        return number < least ? `post ${post} was read as number ${number} after ${least} was acknowledged` : undefined;
      });
      if (reader % 2 === 1) await new Promise((resolve) => setTimeout(resolve, 10 * reader));
    }
    client.close();
  }

  async #try(what: string, ask: () => Promise<string | undefined>): Promise<void> {
    const began = performance.now();
    try {
      const wrong = await ask();
      if (wrong !== undefined) this.wrong.push(wrong);
    } catch (error) {
      this.wrong.push(`${what} failed: ${String(error)}`);
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - began);
  }
}

test('a rolling restart of three instances: no request fails, no event is missed', async () => {
  const balancer = await startBalancer();
  stops.push(balancer.stop);
  const instances = [await start(), await start(), await start()];
  const database = openMysql(schema);
  await insertUsers(database);
  for (let post = 1; post <= writers; post += 1) await insertPost(database, { id: post });
  await database.close();
  balancer.lead(instances.map(({ port }) => port));

  const followers = Array.from({ length: 6 }, () => new Follower(balancer.url));
  stops.push(async () => followers.forEach((each) => each.close()));
  await eventually(async () => followers.every(({ sessions }) => sessions.length > 0));
  const load = new Load(balancer.url);
  load.begin();
  const goesOn = async (): Promise<void> => {
    const before = load.written.length;
    await eventually(async () => load.written.length >= before + enough * writers, 30_000);
  };
  const tookMs: number[] = [];
  try {
    await goesOn();
    for (const [index, old] of [...instances].entries()) {
      instances[index] = await start();
      balancer.lead(instances.map(({ port }) => port));
      await goesOn();
      old.signal('SIGTERM');
      const { code, afterMs } = await old.ended;
      expect([code, old.errors]).toEqual([0, '']);
      tookMs.push(Math.round(afterMs));
      await goesOn();
    }
  } finally {
    await load.end();
  }

  const { written, reads, slowestMs } = load;
  expect(load.wrong).toEqual([]);
  // The last events may still be on their way.
  const missed = (each: Follower): string[] => {
    const titles = new Set(each.heard.map(({ title }) => title));
    return written.filter((title) => !titles.has(title));
  };
  await eventually(async () => followers.every((each) => missed(each).length === 0)).catch(() => undefined);
  for (const each of followers) {
    expect(missed(each)).toEqual([]);
    const offsets = each.heard.map(({ offset }) => offset);
    // In the one order of the log, and each once.
    expect(offsets).toEqual([...new Set(offsets)].toSorted((a, b) => a - b));
    expect(each.sessions.filter(({ recovered, isFirst }) => !recovered && !isFirst)).toEqual([]);
  }
  const restarts = followers.reduce((sum, { sessions }) => sum + sessions.length - 1, 0);
  expect(restarts).toBeGreaterThanOrEqual(followers.length);
  console.log(
    `rolling restart: ${written.length} writes and ${reads} reads, the slowest took ${slowestMs.toFixed(0)} ms; ` +
      `${restarts} sessions were taken up elsewhere; the instances ended within ${tookMs.join(', ')} ms`,
  );
}, 180_000);
