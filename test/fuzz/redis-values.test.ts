import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import type { Database } from '../../src/database/database.ts';
import { eventually, type Reply, type Service } from '../harness/service.ts';
import { describeService, insertPost, serverStages } from '../harness/stage.ts';
import { connectClient } from '../harness/live-client.ts';
import { campaign, campaignTimeoutMs } from './campaign.ts';

/**
 * Somebody else writes to the keys of the service: other bytes, another type, another entry, half a guard, nothing at all. Each
 * answer is what the database holds, or a 503 that says why; and it heals.
 */
interface Damage {
  /** Of all keys, in their order. */
  readonly key: number;
  readonly how: 'bytes' | 'bit' | 'cut' | 'list' | 'hash' | 'text' | 'field' | 'no field' | 'gone' | 'short' | 'copy';
  readonly bytes: Uint8Array;
  readonly other: number;
}

const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.record({
    key: fc.nat(),
    how: fc.constantFrom<Damage['how']>(
      'bytes',
      'bit',
      'cut',
      'list',
      'hash',
      'text',
      'field',
      'no field',
      'gone',
      'short',
      'copy',
    ),
    bytes: fc.uint8Array({ maxLength: 40 }),
    other: fc.nat(),
  }),
  { minLength: 1, maxLength: 3 },
);

/** One of the keys of the rows `ids`, or of lists. */
async function damage(redis: Redis, ids: readonly number[], { key: at, how, bytes, other }: Damage): Promise<string> {
  const isOther = (key: string): boolean =>
    /post:(\d+)/.test(key) && !ids.includes(Number(/post:(\d+)/.exec(key)?.[1]));
  const keys = (await redis.keys('*')).filter((key) => !isOther(key)).toSorted();
  const key = keys[at % keys.length];
  if (key === undefined) return 'nothing there';
  const type = await redis.type(key);
  const value = Buffer.from(bytes);
  if (how === 'gone') await redis.del(key);
  else if (how === 'short') await redis.pexpire(key, 1 + (other % 50));
  else if (how === 'copy') await copyOver(redis, keys, key, other);
  else if (how === 'list') await redis.multi().del(key).rpush(key, value).exec();
  else if (how === 'hash') await redis.multi().del(key).hset(key, 'version', value).exec();
  else if (how === 'text') await redis.multi().del(key).set(key, value).exec();
  else if (type === 'string') await damageString(redis, key, how, value, other);
  else if (type === 'hash') await damageHash(redis, key, how, value, other);
  else if (type === 'stream') await redis.xadd(key, '*', 'e', value);
  return `${how} ${key} (${type})`;
}

/** Another entry in the place of this one, or the bytes or the guard of another. */
async function copyOver(redis: Redis, keys: readonly string[], key: string, other: number): Promise<void> {
  const guardOf = (name: string): string => `{${name}}:guard`;
  const from = keys[other % keys.length] ?? key;
  if (from === key) return;
  await redis.copy(from, key, 'REPLACE');
  if (other % 2 === 0) await redis.copy(guardOf(from), guardOf(key), 'REPLACE');
}

async function damageString(
  redis: Redis,
  key: string,
  how: Damage['how'],
  value: Buffer,
  other: number,
): Promise<void> {
  const length = await redis.strlen(key);
  if (how === 'bit') await redis.setbit(key, other % Math.max(8, length * 8), other % 2 === 0 ? 1 : 0);
  else if (how === 'cut')
    await redis.set(key, await redis.getrangeBuffer(key, 0, other % Math.max(1, length)), 'KEEPTTL');
  else await redis.set(key, value, 'KEEPTTL');
}

async function damageHash(redis: Redis, key: string, how: Damage['how'], value: Buffer, other: number): Promise<void> {
  const fields = await redis.hkeys(key);
  const field = fields[other % Math.max(1, fields.length)] ?? 'version';
  if (how === 'no field' || how === 'cut') await redis.hdel(key, field);
  else if (how === 'field') await redis.hset(key, value.toString('hex').slice(0, 8), value);
  else await redis.hset(key, field, value);
}

const rows = 600;

function expectTrueOr503(
  { status, text }: Reply,
  isTrue: (data: ReturnType<typeof JSON.parse>) => boolean,
  what: string,
): void {
  if (status === 503)
    expect([what, JSON.parse(text).code]).toEqual([what, expect.stringMatching(/^(DATABASE|CACHE)_/)]);
  else expect([what, status, status === 200 && isTrue(JSON.parse(text).data)]).toEqual([what, 200, true]);
}

async function expectTruth(service: Service, database: Database, ids: readonly number[], what: string): Promise<void> {
  const titles = new Map(
    (await database.query('SELECT id, title FROM posts')).map(([id, title]) => [Number(id), title]),
  );
  for (const id of ids) {
    const answer = await service.get(`/cache/posts/${id}`);
    expectTrueOr503(answer, (data) => data.title === titles.get(id), `${what}: post ${id}`);
  }
  for (const path of ['/cache/posts', '/cache/posts?limit=2']) {
    const isTrue = (data: readonly { id: number; title: string }[]): boolean =>
      data.every(({ id, title }) => titles.get(id) === title);
    expectTrueOr503(await service.get(path), isTrue, `${what}: ${path}`);
  }
}

describeService('whatever others write to Redis', { on: serverStages.slice(0, 1) }, (given) => {
  test(
    'is neither served nor a fault, and heals',
    async () => {
      const { redis } = given.stage;
      if (redis === undefined) throw new Error('there is no Redis');
      const { service, database } = given;
      // It begins with nothing in its memory, and never reads what it was asked for before.
      const reader = await given.stage.beside();
      for (let id = 1; id <= rows; id += 1) await insertPost(database, { id });
      let count = 0;
      await campaign('values in Redis', damages, async (all) => {
        // Whoever reads past Redis would find nothing.
        await eventually(async () => (await reader.get('/readyz?verbose')).text.includes('redis ok'), 30_000);
        await eventually(async () => (await service.get('/readyz?verbose')).text.includes('redis ok'), 30_000);
        count += 1;
        const ids = [0, 1, 2].map((next) => 1 + ((count * 3 + next) % rows));
        for (const id of ids) await service.get(`/cache/posts/${id}`);
        await service.get('/cache/posts?limit=2');
        const done: string[] = [];
        for (const each of all) done.push(await damage(redis, ids, each));
        const what = done.join(', ');
        await expectTruth(reader, database, ids, what);
        await expectTruth(service, database, ids, what);
        const title = `title ${count}`;
        const written = await service.request('PUT', `/cache/posts/${ids[0]}`, { title });
        expectTrueOr503(written, (data) => data.title === title, `${what}: PUT`);
        // A write that could not fence what is damaged is in the outbox: until it was swept others may not know of it.
        let wrong: unknown;
        const holds = eventually(async () => {
          wrong = await expectTruth(reader, database, ids, `${what}, after a write`).catch((error: unknown) => error);
          return wrong === undefined;
        });
        await holds.catch(() => {
          throw wrong;
        });
      });
      // Through the log of events, from one instance to the other.
      const live = await connectClient(reader.url);
      await eventually(async () => {
        await service.request('PUT', '/cache/posts/1', { title: 'the last' });
        return live.heard.some(([, data]) => Object(data).title === 'the last');
      }, 30_000);
      live.close();
      await redis.flushall();
      await eventually(async () => {
        await service.get('/cache/posts/1');
        return (await service.get('/cache/posts/1')).json.source === 'cache';
      }, 30_000);
    },
    campaignTimeoutMs,
  );
});
